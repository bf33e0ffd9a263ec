"""Secrets: fetched at launch, and shown nowhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX = """\
krunc: 1
name: secrets
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/a, env: {A: SECRET}}
"""
VALUE = "a-secret value"


def planned(directory: Path, secret: str, target: str = "1.18") -> Path:
    """A plan with a secret, made in another directory than its box."""
    runnable(directory / "box/rootfs")
    (directory / "plans").mkdir(exist_ok=True)
    box = directory / "box/box.yaml"
    box.write_text(BOX.replace("SECRET", secret))
    plan = directory / "plans/box.plan.json"
    assert main(["compile", str(box), "-o", str(plan), "--target", target]) == 0
    return plan


@pytest.mark.parametrize("content", [VALUE, VALUE + "\n", VALUE + "\r\n"])
def test_from_file(content: str, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    plan = planned(tmp_path, "{from_file: ./token}")
    (tmp_path / "box/token").write_text(content, newline="")
    done = launch(plan, KRUN_RECORDER_EXIT="7")
    (call,) = [call for call in done.calls if call["call"] == "krun_set_exec"]
    assert call["args"][3] == [f"A={VALUE}"]
    assert VALUE not in plan.read_text()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file or directory"),
        (b"\xff", "it is not UTF-8"),
        (b"x" * 70000, "it has more than 65536 bytes"),
        ("fifo", "it is not a regular file; from_fd takes pipes"),
        ("directory", "it is not a regular file; from_fd takes pipes"),
        (b'a"b', "the value of <from_file ../box/token> cannot reach the guest"),
    ],
)
def test_a_file_that_is_none(
    content: bytes | str | None, why: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    plan = planned(tmp_path, "{from_file: ./token}")
    if content == "fifo":
        os.mkfifo(tmp_path / "box/token")
    elif content == "directory":
        (tmp_path / "box/token").mkdir()
    elif isinstance(content, bytes):
        (tmp_path / "box/token").write_bytes(content)
    done = launch(plan)
    assert done.returncode == 125
    assert why in done.stderr
    assert 'a"b' not in done.stderr
    assert done.calls == []


def test_from_fd(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """The same descriptor for two variables is read once."""
    plan = planned(tmp_path, "{from_fd: 9}, B: {from_fd: 9}")
    record = tmp_path / "calls"
    command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [
            "bash",
            "-c",
            'exec 9< <(printf "%s\\n" "$SECRET"); unset SECRET; exec "$@"',
            "bash",
            *command,
            str(plan),
        ],
        env={
            **os.environ,
            "LD_PRELOAD": str(fake_kvm),
            "KRUN_RECORDER": str(record),
            "KRUN_RECORDER_EXIT": "7",
            "SECRET": VALUE,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert f'["A={VALUE}", "B={VALUE}"]' in record.read_text()


@pytest.mark.parametrize("number", range(3, 9))
def test_a_descriptor_of_the_launcher_is_none(
    number: int, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """The launcher has pipes of its own open when it reads the secret."""
    done = launch(planned(tmp_path, f"{{from_fd: {number}}}"))
    assert (done.returncode, done.calls) == (125, [])
    assert (
        f"the secret in file descriptor {number} cannot be read: bad file descriptor" in done.stderr
    )


@pytest.mark.parametrize("target", ["1.18", "2"])
@pytest.mark.parametrize("secret", ["{from_env: TOKEN}", "{from_file: ./token}"])
def test_a_secret_is_shown_nowhere(
    secret: str, target: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    plan = planned(tmp_path, secret, target)
    (tmp_path / "box/token").write_text(VALUE)
    call = "krun_set_exec" if target == "1.18" else "krun_fs_add_overlay_file"
    dry = subprocess.run(
        [*LAUNCHER, "--dry-run", str(plan)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TOKEN": VALUE},
    )
    record = tmp_path / "exit.json"
    # The call that has it fails, and is told with its arguments.
    done = launch(plan, "--exit-record", str(record), TOKEN=VALUE, KRUN_RECORDER_FAIL=f"{call}=-22")
    assert done.returncode == 125
    assert call in done.stderr
    assert any(VALUE in str(made) for made in done.calls) or target == "2"
    for text in (plan.read_text(), dry.stdout, dry.stderr, done.stdout, done.stderr):
        assert VALUE not in text
        assert "a-secret" not in text
    assert VALUE not in record.read_text()


def test_where_the_guest_can_read_it_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target, words in (("1.18", "(in the guest's"), ("2", "file ../box/token as A ")):
        plan = planned(tmp_path, "{from_file: ./token}", target)
        capsys.readouterr()
        assert main(["show", str(plan)]) == 0
        (line,) = [
            line for line in capsys.readouterr().out.splitlines() if line.startswith("  secret ")
        ]
        assert words in line
