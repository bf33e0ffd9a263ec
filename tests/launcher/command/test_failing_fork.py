"""Where the system makes no more processes, a VM does not start, says why, and takes none along."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from failing_fork import built
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX = """\
krunc: 1
name: box-{{ n }}
matrix: {n: {from: 1, to: 4}}
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/a}
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path


@pytest.fixture
def launch(
    plans: Path, build: Callable[..., Path], fake_kvm: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Launch with the fork of a number failing; each fork does with 0."""
    library = built(plans)

    def run(number: int, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(plans / "run"), *words],
            capture_output=True, text=True, check=False, timeout=60,
            env={
                **os.environ, "LD_PRELOAD": f"{library} {fake_kvm}", "KRUN_RECORDER_EXIT": "7",
                "FAILING_FORK": str(number), "KRUN_RECORDER": str(plans / "calls"),
            },
        )  # fmt: skip

    return run


def test_of_one_vm(launch: Callable[..., subprocess.CompletedProcess[str]], plans: Path) -> None:
    record = plans / "record"
    done = launch(0, "--exit-record", str(record), str(plans / "box-1.plan.json"))
    assert done.returncode == 125
    assert "Traceback" not in done.stderr
    assert "resource temporarily unavailable" in done.stderr
    assert not (plans / "calls").exists()
    assert json.loads(record.read_text())["reason"] == "not_started"


# The first is that of the process which tries to load libkrun.
@pytest.mark.parametrize("number", [0, 2, 3, 4, 5])
def test_of_some_of_many(
    number: int, launch: Callable[..., subprocess.CompletedProcess[str]], plans: Path
) -> None:
    done = launch(number, "--log-dir", str(plans / "logs"), str(plans))
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "ended with status" in line]
    assert len(lines) == 4, done.stderr
    failed = 1 if number else 4
    assert sum("ended with status 125" in line for line in lines) == failed
    assert sum("ended with status 7" in line for line in lines) == 4 - failed
    assert "resource temporarily unavailable" in done.stderr
    calls = (plans / "calls").read_text() if failed < 4 else ""
    assert calls.count("krun_start_enter") == 4 - failed


def test_without_a_process_that_tries_libkrun_each_vm_loads_its_own(
    launch: Callable[..., subprocess.CompletedProcess[str]], plans: Path
) -> None:
    done = launch(1, "--log-dir", str(plans / "logs"), str(plans))
    assert done.stderr.count("ended with status 7") == 4, done.stderr
    assert (plans / "calls").read_text().count("krun_start_enter") == 4
