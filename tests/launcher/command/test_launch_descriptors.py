"""A plan of many that is refused leaves no descriptor open in the launcher, whatever refuses it: there
may be thousands, and the limit of open files is that of all."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from failing_fork import built
from krunc_compiler.__main__ import main
from krunc_launcher.paths import Directories
from krunc_launcher.resolve.operation import read
from passts import script
from processes import entered, started, wait_until
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX = {
    "krunc": 1,
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}
STAYS = {**BOX, "name": "stays"}
MANY = {"matrix": {"n": {"from": 1, "to": 12}}}
PASST = {"mode": "passt", "program": "./passt"}
SERVES = 'exec /usr/bin/passt "$@"'
# The last is the number of the fork that fails; the first one is that which tries libkrun.
REFUSED: dict[str, tuple[dict[str, Any], str, int]] = {
    "a socket's path that is too long": (
        {"name": "refused-{{ n }}-" + "long" * 12, "hostname": "here", **MANY}, "choose a shorter", 0,
    ),
    # With a secret, which the VM's process reads, it is that one which looks at the host.
    "the same of a box with a secret": (
        {
            "name": "refused-{{ n }}-" + "long" * 12, "hostname": "here", **MANY,
            "entrypoint": {"executable": "/bin/a", "env": {"A": {"from_env": "PATH"}}},
        }, "choose a shorter", 0,
    ),
    "a passt that does not serve": ({"network": PASST, **MANY}, "does not serve", 0),
    "that of a VM with the stage": (
        {"network": PASST, "hostname": "here", **MANY}, "does not serve", 0,
    ),
    "no keeper for a passt": ({"network": PASST}, "cannot be started", 2),
    "no process for the VM behind its passt": (
        {"network": PASST, "hostname": "here"}, "there can be no process", 3,
    ),
    "a share that is missing": (
        {"shares": [{"tag": "a", "path": "./none"}], "hostname": "here", **MANY}, "no such", 0,
    ),
    "a secret that is missing": (
        {"entrypoint": {"executable": "/bin/a", "env": {"A": {"from_file": "/none"}}}, **MANY},
        "cannot be read", 0,
    ),
    "a secret that is a directory": (
        {"entrypoint": {"executable": "/bin/a", "env": {"A": {"from_file": "./rootfs"}}}, **MANY},
        "regular file", 0,
    ),
}  # fmt: skip


def opens_nothing_else(
    boxes: list[dict[str, Any]],
    said: str,
    failing: int,
    tmp_path: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
) -> None:
    """The launcher has nothing open for others when one of BOXES stays, and all others are refused, as
    is SAID."""
    place = tmp_path / f"of-{len(boxes)}"
    (place / "plans").mkdir(parents=True)
    runnable(place / "rootfs")
    script(place, SERVES if failing else "exit 3")
    for box in boxes:
        path = place / f"{box['name'][:5]}.yaml"
        path.write_text(json.dumps(box))
        assert main(["compile", str(path), "-o", str(place / "plans")]) == 0
    refused = len(list((place / "plans").iterdir())) - 1
    words: list[str | Path] = [*LAUNCHER, "--libkrun", build("v1"), "--log-dir", place / "logs"]
    words.append(place / "plans")
    env = {
        **os.environ, "LD_PRELOAD": f"{built(tmp_path)} {fake_kvm}", "KRUN_RECORDER_STAY": "1",
        "KRUN_RECORDER": str(place / "calls"), **({"FAILING_FORK": str(failing)} if failing else {}),
    }  # fmt: skip
    with TemporaryDirectory() as short:
        # Below the test's own directory all paths of sockets would be too long; below this one it
        # is those of boxes with long names.
        words += ["--runtime-dir", Path(short, "runtime-directory")]
        _only_one_vm(words, env, place / "calls", said, refused)


def _only_one_vm(
    words: list[str | Path], env: dict[str, str], calls: Path, said: str, refused: int
) -> None:
    with started(words, env=env, stderr=subprocess.PIPE) as launcher:
        entered(calls, launcher)
        assert launcher.stderr is not None
        ended = 0
        while ended < refused:
            line = launcher.stderr.readline().decode()
            assert line, "the launcher ended"
            if "ended with status" in line:
                ended += 1
            elif not line.startswith("krunc:   "):
                assert said in line or "did not start" in line, line
        # Behind the fork it takes what the VM's process tells, and closes what it has for that.
        wait_until(lambda: _open(launcher.pid) == OF_ONE_VM, launcher)


# By which it learns what guests open, and how the VM ends.
OF_ONE_VM = ["anon_inode", "pipe"]


def _open(pid: int) -> list[str]:
    """What a process has open beside its streams, but for what it closes meanwhile."""
    found = []
    for name in set(os.listdir(f"/proc/{pid}/fd")) - {"0", "1", "2"}:
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0])
    return sorted(found)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_leaves_nothing_open(
    name: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    more, said, failing = REFUSED[name]
    refused = {**BOX, "name": "refused-{{ n }}" if "matrix" in more else "refused", **more}
    opens_nothing_else([refused, STAYS], said, failing, tmp_path, build, fake_kvm)


def test_one_vm_alone(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    opens_nothing_else([STAYS], "", 0, tmp_path, build, fake_kvm)


def test_a_content_that_is_no_file_is_closed(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none"):
        with pytest.raises(OSError, match=r"directory|not a regular file"):
            read(str(path), Directories("/", "/"))
    assert os.listdir("/proc/self/fd") == before
