"""Of several plans two may not take one file descriptor of the launcher: a secret would be torn
apart, or a connection be that of two VMs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX: dict[str, Any] = {
    "krunc": 1,
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}
# Each has the number 9 in it, and takes what is open under it.
TAKES: dict[str, dict[str, Any]] = {
    "a secret": {"entrypoint": {"executable": "/bin/a", "env": {"TOKEN": {"from_fd": 9}}}},
    "a secret for the stage": {
        "hostname": "here",
        "entrypoint": {"executable": "/bin/a", "env": {"TOKEN": {"from_fd": 9}}},
    },
    "a network": {"network": {"mode": "unixstream", "fd": 9}},
    "datagrams": {"network": {"mode": "unixgram", "fd": 9, "vfkit": False}},
    "a log": {"log": {"target": {"fd": 9}}},
    "a console": {
        "console": {"devices": [{"type": "multiport", "ports": [{"name": "a", "input": {"fd": 9}}]}]},
    },
}  # fmt: skip
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> Run:
    """Launches boxes of these names, with the descriptors 9 and 10 open for each to be read."""

    def launched(
        boxes: dict[str, dict[str, Any]], *words: str, target: str = "1"
    ) -> subprocess.CompletedProcess[str]:
        runnable(tmp_path / "rootfs")
        for name, box in boxes.items():
            (tmp_path / f"{name}.yaml").write_text(json.dumps({**BOX, "name": name, **box}))
            assert main(["compile", str(tmp_path / f"{name}.yaml"), "--target", target]) == 0
        plans = [str(tmp_path / f"{name}.plan.json") for name in boxes]
        opened = 'exec 9< <(printf nine) 10< <(printf ten); exec "$@"'
        options = [
            "--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run"),
            "--log-dir", str(tmp_path / "logs"),
        ]  # fmt: skip
        return subprocess.run(
            ["bash", "-c", opened, "bash", *LAUNCHER, *options, *words, *plans],
            env={
                **os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7",
                "KRUN_RECORDER": str(tmp_path / "calls"),
            },
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return launched


# With 1.19 a plan's secrets are in the guest's configuration file, not on the command line.
@pytest.mark.parametrize(("jobs", "target"), [((), "1"), (("-j1",), "1.19")])
@pytest.mark.parametrize(
    ("one", "other"), [*((one, one) for one in TAKES), *(("a secret", other) for other in TAKES)]
)
def test_two_that_take_one_are_refused(
    one: str, other: str, jobs: tuple[str, ...], target: str, run: Run, tmp_path: Path
) -> None:
    done = run({"a": TAKES[one], "b": {}, "c": TAKES[other]}, *jobs, target=target)
    assert done.returncode == 2
    assert done.stderr == (
        "krunc: 2 plans take file descriptor 9, which one VM alone can have: a, c; give each plan a "
        "file descriptor of its own, or run krunc launch once for each; a secret can come from_env, from_file "
        "or from --secrets DIR instead\n"
    )
    assert not (tmp_path / "calls").exists(), "nothing was started"


def test_all_descriptors_are_told_at_once(run: Run) -> None:
    both = {
        "entrypoint": {
            "executable": "/bin/a",
            "env": {n: {"from_fd": int(n[1:])} for n in ("A9", "B10")},
        }
    }
    done = run({f"box-{n}": both for n in range(12)})
    names = "box-0, box-1, box-2, box-3, box-4, box-5, box-6, box-7, box-8, box-9 and 2 more"
    for number in (9, 10):
        said = f"12 plans take file descriptor {number}, which one VM alone can have: {names};"
        assert said in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (2, 2)


def test_each_has_its_own(run: Run, tmp_path: Path) -> None:
    ten = {
        "entrypoint": {"executable": "/bin/a", "env": {"A": {"from_fd": 10}, "B": {"from_fd": 10}}}
    }
    done = run({"a": TAKES["a secret"], "b": ten, "c": {}})
    assert done.stderr.count("ended with status 7") == 3, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert '["TOKEN=nine"]' in calls
    assert '["A=ten", "B=ten"]' in calls


def test_a_file_of_a_directory_of_secrets_is_for_all(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/fd-9").write_text("of a file")
    secret = TAKES["a secret"]
    done = run({"a": secret, "b": secret}, "--secrets", str(tmp_path / "secrets"))
    assert done.stderr.count("ended with status 7") == 2, done.stderr
    assert (tmp_path / "calls").read_text().count('["TOKEN=of a file"]') == 2
    (tmp_path / "secrets/fd-9").unlink()
    done = run({"a": secret, "b": secret}, "--secrets", str(tmp_path / "secrets"))
    assert (done.returncode, "take file descriptor 9" in done.stderr) == (2, True)


def test_a_plan_that_is_refused_takes_none(run: Run, tmp_path: Path) -> None:
    secret = TAKES["a secret"]
    run({"a": secret})
    (tmp_path / "bad").mkdir()
    text = (tmp_path / "a.plan.json").read_text().replace('"num_vcpus": ', '"num_vcpus": -')
    (tmp_path / "bad/z.plan.json").write_text(text)
    (tmp_path / "calls").unlink()
    done = run({"a": secret}, str(tmp_path / "bad"))
    assert done.returncode == 1, done.stderr
    assert '["TOKEN=nine"]' in (tmp_path / "calls").read_text()
    assert "z.plan.json:" in done.stderr
