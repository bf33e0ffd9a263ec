"""What the stage of a guest says, read as the words of a hostile guest, beside a recording libkrun."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.supervise.end import explain
from recorder.fixtures import Launch
from roots import runnable

BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "staged",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "tsi"},
    "hostname": "here",
    "entrypoint": {"executable": "/bin/a", "env": {"TOKEN": {"from_env": "TOKEN"}}},
}
BEFORE = "krunc: the guest ended before its program was started"
UNDER = "krunc: the guest ended under its program"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan whose VM starts with the stage."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(json.dumps(BOX))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


@pytest.mark.parametrize(
    ("says", "status", "message"),
    [
        ("started\nexit 7\n", 7, ""),
        ("started\nexit 0\n", 0, ""),
        ("started\nsignal 9\n", 137, ""),
        ("started\nsignal 64\n", 192, ""),
        ("started\nexit 255\n", 255, ""),
        ("started\npoweroff\n", 0, ""),
        ("started\nreboot\n", 0, ""),
        ("started\nlost 9\n", 125, "krunc: the stage was killed in the guest"),
        ("started\nexit 0\nexit 5\n", 0, ""),
        ("failed 1 mount 19\n", 125, "root_share krunc-root (rootfs.path): the file system cannot"),
        ("failed 4 exec 2\n", 127, "program /bin/a (entrypoint): the program"),
        ("failed 4 exec 13\n", 126, "program /bin/a (entrypoint): the program"),
        ("failed 99 exec 2\n", 127, "the stage: the program"),
        ("failed 2 exited 3\n", 125, "(exit code 3)"),
        ("", 125, BEFORE),
        ("started", 125, BEFORE),
        ("exit 0\n", 125, BEFORE),
        ("poweroff\n", 125, BEFORE),
        ("failed 1 nonsense 5\n", 125, BEFORE),
        ("failed 1 mount\n", 125, BEFORE),
        ("failed -1 mount 5\n", 125, BEFORE),
        ("failed 1 mount 99999\n", 125, BEFORE),
        ("x" * 100_000, 125, BEFORE),
        ("\u00e9\x01\n" * 5000, 125, BEFORE),
        ("started\n", 125, UNDER),
        ("started\nexit 256\n", 125, UNDER),
        ("started\nexit -1\n", 125, UNDER),
        ("started\nsignal 0\n", 125, UNDER),
        ("started\nsignal 65\n", 125, UNDER),
        ("started\nsignal 128\n", 125, UNDER),
        ("started\nsignal 255\n", 125, UNDER),
        ("started\npoweroff 0\n", 125, UNDER),
        ("started\nexit\n", 125, UNDER),
        ("started\nexit 1 2\n", 125, UNDER),
        ("started\nfailed 1 mount 5\n", 125, UNDER),
        ("started\n" + "y" * 100_000 + "\n", 125, UNDER),
    ],
)
def test_what_is_believed(
    plan: Path, launch: Callable[..., Launch], says: str, status: int, message: str
) -> None:
    done = launch(plan, KRUN_RECORDER_EXIT="0", KRUN_RECORDER_SAYS=says, TOKEN="s3cret")
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert bool(done.stderr) == bool(message)
    assert not list(plan.parent.rglob("launch-*"))


@pytest.mark.parametrize(("before", "told"), [("poweroff -f", True), (None, False)])
def test_a_script_before_the_program_may_have_ended_the_guest(
    before: str | None, told: bool, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    runnable(tmp_path / "rootfs")
    script = {} if before is None else {"before": before}
    box = {**BOX, "entrypoint": {"executable": "/bin/a", **script}}
    (tmp_path / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    done = launch(tmp_path / "box.plan.json", KRUN_RECORDER_EXIT="0", KRUN_RECORDER_SAYS="")
    assert (done.returncode, BEFORE in done.stderr) == (125, True)
    assert ("the script of entrypoint.before ended the VM" in done.stderr) is told


@pytest.mark.parametrize("begins", ["", "started\n"])
@pytest.mark.parametrize("floods", ["\n", "x\n", "x", " ", "started\n", "exit\n", "exit 256\n"])
def test_a_guest_that_never_stops_talking_is_left_alone(
    begins: str, floods: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    """The launcher hangs up, and is there for signals, the timeout and other VMs."""
    env = {"KRUN_RECORDER_SAYS": begins, "KRUN_RECORDER_FLOODS": floods, "TOKEN": "s3cret"}
    done = launch(plan, KRUN_RECORDER_EXIT="0", **env)
    has_started = bool(begins) or floods == "started\n"
    assert (done.returncode, (UNDER if has_started else BEFORE) in done.stderr) == (125, True)
    assert not list(plan.parent.rglob("launch-*"))


def test_no_failure_of_the_vm_is_lost(plan: Path, launch: Callable[..., Launch]) -> None:
    """The guest's root can say that all is well while libkrun's process says another thing."""
    says = "started\nexit 0\n"
    done = launch(plan, KRUN_RECORDER_EXIT="3", KRUN_RECORDER_SAYS=says, TOKEN="s3cret")
    assert done.returncode == 3


def test_the_record_has_what_the_stage_said(
    plan: Path, launch: Callable[..., Launch], tmp_path: Path
) -> None:
    record = tmp_path / "end.json"
    options = ["--exit-record", str(record)]
    done = launch(plan, *options, KRUN_RECORDER_SAYS="started\nsignal 15\n", TOKEN="s3cret")
    assert done.returncode == 143
    end = json.loads(record.read_text())
    assert (end["reason"], end["ended_by"], end["program_seen"]) == ("exited", "signal 15", True)
    assert 0 < end["start_s"] <= end["started_s"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_user_whom_the_vm_becomes_reaches_the_stage(
    tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """libkrun opens it as that user, and hangs where it cannot."""
    runnable(tmp_path / "rootfs")
    entrypoint = {"executable": "/bin/a"}
    box = {**BOX, "run_as": {"uid": 1234, "gid": 1235}, "entrypoint": entrypoint}
    (tmp_path / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    plan = tmp_path / "box.plan.json"
    with tempfile.TemporaryDirectory() as name:
        runtime = Path(name, "above/run")
        done = launch(plan, "--runtime-dir", str(runtime))
        assert done.returncode == 125
        assert f"{name} is closed to uid 1234 of run_as" in done.stderr
        Path(name).chmod(0o711)
        # Only the hypervisor is closed to that user; a boot shows the rest.
        assert (
            "is closed to uid 1234 of run_as"
            not in launch(plan, "--runtime-dir", str(runtime)).stderr
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [None, 0o700, 0o710, 0o711, 0o750, 0o755, 0o1777, 0o3777])
@pytest.mark.parametrize("holds", ["", "a-file"])
def test_only_an_unused_runtime_directory_is_opened_to_that_user(
    mode: int | None, holds: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """Another one may be /tmp, or somebody's home."""
    runnable(tmp_path / "rootfs")
    group = os.stat("/dev/kvm").st_gid if os.path.exists("/dev/kvm") else 1235
    box = {**BOX, "run_as": {"uid": 1234, "gid": group}, "entrypoint": {"executable": "/bin/a"}}
    (tmp_path / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        runtime = Path(name, "run")
        if mode is not None:
            runtime.mkdir()
            (runtime / holds).touch()
            runtime.chmod(mode)
        is_unused = mode is None or (mode == 0o700 and not holds)
        before = runtime.stat() if mode is not None else None
        done = launch(tmp_path / "box.plan.json", "--runtime-dir", str(runtime))
        assert ("may be written by others" in done.stderr) == bool(mode and mode & 0o022)
        # The group of an emulated host's hypervisor is root's, which is the directory's, too.
        passed_by = 0o011 if before is not None and before.st_gid == group else 0o001
        is_closed = not is_unused and mode is not None and not mode & passed_by
        assert (f"{runtime} is closed to uid 1234 of run_as" in done.stderr) == is_closed
        if not runtime.exists():
            return  # the hypervisor is closed to that user
        after = runtime.stat()
        if before is None or (is_unused and after.st_gid == group):
            assert (after.st_mode & 0o7777, after.st_uid, after.st_gid) == (0o710, 0, group)
            again = launch(tmp_path / "box.plan.json", "--runtime-dir", str(runtime))
            assert again.returncode == done.returncode == 0, (done, again)
        else:
            assert after == before or (after.st_mode, after.st_uid, after.st_gid) == (
                before.st_mode, before.st_uid, before.st_gid,
            )  # fmt: skip


WRITTEN = {
    "the directory": "shared/run",
    "it alone": "shared",
    "below": "shared/a/b/run",
    "a link": "link/run",
    "another name": "./rootfs/../shared/run",
}


@pytest.mark.parametrize("runtime", WRITTEN)
def test_a_runtime_directory_that_a_guest_may_write(
    runtime: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """Of two VMs one could have the other start with its program, and read what it starts with."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "shared").mkdir(0o700)
    (tmp_path / "link").symlink_to("shared")
    share = {"tag": "s", "path": "./shared", "mount": "/s", "read_only": False}
    box = {**BOX, "shares": [share], "entrypoint": {"executable": "/bin/a"}}
    (tmp_path / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    plan = tmp_path / "box.plan.json"
    done = launch(plan, "--runtime-dir", f"{tmp_path}/{WRITTEN[runtime]}")
    assert (done.returncode, done.calls) == (125, []), done
    assert "is in a directory that a guest may write" in done.stderr
    assert not list(tmp_path.rglob("launch-*"))
    assert launch(plan, KRUN_RECORDER_SAYS="started\nexit 3\n").returncode == 3


@pytest.mark.parametrize(
    ("directory", "places"),
    [
        ("", {"on the console", "on standard error"}),
        ("logs", {"in logs/web-1.out", "in logs/web-1.err"}),
    ],
)
def test_the_words_of_an_end_name_the_log(directory: str, places: set[str]) -> None:
    crashed = explain(6, [], True, None, frozenset(), None)
    panicked = explain(0, [], True, False, frozenset(), None)
    for end in (crashed, panicked):
        end.place(directory, "web-1")
        assert "\0" not in end.words[0]
    told = {end.words[0].rpartition(" is ")[2] for end in (crashed, panicked)}
    assert told == places
