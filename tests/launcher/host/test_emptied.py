"""A file is emptied for what the guest writes only if it is nothing else: no second name of another
file, no file that the plan uses otherwise, and none that another VM has."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from processes import entered, started, wait_until
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

KEPT = "what the host keeps"
BOX = """\
krunc: 1
name: emptied
rootfs: {path: ./rootfs}
network: {mode: none}
stop: {on_sigterm: kill}
"""
PROGRAM = "entrypoint: {executable: /bin/a}\n"
# The two ways in which a console's file reaches libkrun: by its path, and opened by the launcher.
OUTPUTS = {
    "path": "console: {output: PATH}\n",
    "opened": "console: {devices: [{type: virtio, output: {file: PATH}}]}\n",
}


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The part of a box that writes a console to the file PATH."""
    text = OUTPUTS[request.param]
    return lambda path: text.replace("PATH", path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of the box, and in it a file that nothing may empty."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "kept").write_text(KEPT)
    return tmp_path


def planned(place: Path, box: str, name: str = "emptied") -> Path:
    """The plan of a box."""
    path = place / f"{name}.yaml"
    path.write_text(BOX.replace("emptied", name) + box)
    assert main(["compile", str(path)]) == 0
    return path.with_name(f"{name}.plan.json")


def refused(done: Launch, *words: str) -> None:
    """The VM was not started, and the words say why."""
    assert done.returncode == 125, done.stderr
    assert "krun_start_enter" not in [call["call"] for call in done.calls]
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("theirs", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_what_another_vm_has(
    theirs: int, output: Callable[[str], str], place: Path, launch: Callable[..., Launch]
) -> None:
    """As a disk, for reading alone or not."""
    plan = planned(place, PROGRAM + output("./kept"))
    with (place / "kept").open("rb") as disk:
        fcntl.flock(disk, theirs)
        refused(launch(plan), "kept is in use: another process (process", "console")
    assert (place / "kept").read_text() == KEPT
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7
    assert (place / "kept").read_text() == ""


@pytest.mark.parametrize("second", ["console", "disk"])
def test_the_console_of_another_vm(
    second: str,
    output: Callable[[str], str],
    place: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    launch: Callable[..., Launch],
) -> None:
    """Its file is kept from all others for as long as it runs."""
    first = planned(place, PROGRAM + output("./log"), "first")
    other = (
        output("./log") if second == "console" else "disks: [{id: a, path: ./log, format: raw}]\n"
    )
    plan = planned(place, PROGRAM + other)
    calls = place / "first.calls"
    environment = {
        **os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(calls),
        "KRUN_RECORDER_STAY": "1",
    }  # fmt: skip
    command = [
        *LAUNCHER,
        "--libkrun",
        str(build("v1")),
        "--runtime-dir",
        str(place / "r"),
        str(first),
    ]
    with started(command, env=environment) as launcher:
        entered(calls, launcher)
        (place / "log").write_text(KEPT)
        refused(launch(plan), "log is in use: another process (process")
        assert (place / "log").read_text() == KEPT
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7


def test_another_name_of_a_file(
    output: Callable[[str], str], place: Path, launch: Callable[..., Launch]
) -> None:
    """A guest that may write the directory can link a file there that it may not write."""
    (place / "share").mkdir()
    share = "shares: [{tag: s, path: ./share, read_only: false}]\n"
    plan = planned(place, PROGRAM + share + output("./share/log"))
    os.link(place / "kept", place / "share/log")
    refused(launch(plan), "share/log has 2 names (hard links)", "console")
    assert (place / "kept").read_text() == KEPT
    (place / "share/log").unlink()
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7


USES = {
    "a disk": PROGRAM + "disks: [{id: a, path: ./kept, format: raw}]\n",
    "a disk that is read": PROGRAM + "disks: [{id: a, path: ./kept, format: raw, read_only: true}]\n",
    "a kernel": PROGRAM + "boot: {kernel: {path: ./kept, format: elf}}\n",
    "a secret": "entrypoint: {executable: /bin/a, env: {T: {from_file: ./kept}}}\n",
}  # fmt: skip


@pytest.mark.parametrize("way", ["./kept", "./sub/../kept", "./link", "./also/kept"])
@pytest.mark.parametrize("use", USES)
def test_what_the_plan_uses_otherwise(
    use: str, way: str, output: Callable[[str], str], place: Path, launch: Callable[..., Launch]
) -> None:
    """Whatever path leads there."""
    (place / "link").symlink_to("kept")
    (place / "also").symlink_to(".")
    done = launch(planned(place, USES[use] + output(way)))
    # A link to the file itself is none that a console may have.
    word = "is not a regular file" if way == "./link" else "would be emptied for what the guest"
    refused(done, word, "console")
    assert done.calls == []
    assert (place / "kept").read_text() == KEPT


def test_the_plan(output: Callable[[str], str], place: Path, launch: Callable[..., Launch]) -> None:
    plan = planned(place, PROGRAM + output("./emptied.plan.json"))
    text = plan.read_text()
    refused(launch(plan), "would be emptied for what the guest writes, but it is the plan itself")
    assert plan.read_text() == text


@pytest.mark.parametrize("is_there", [True, False])
def test_two_consoles_with_one_file(
    is_there: bool, place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "also").symlink_to(".")
    if is_there:
        (place / "log").write_text(KEPT)
    devices = "{type: virtio, output: {file: ./log}, error: {file: PATH}}"
    box = f"{PROGRAM}console: {{devices: [{devices}]}}\n"
    refused(launch(planned(place, box.replace("PATH", "./log"))), "but it is what console")
    refused(launch(planned(place, box.replace("PATH", "./also/log"))), "but it is what console")
    plan = planned(place, box.replace("PATH", "./other"))
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7


def test_only_the_file_that_was_opened_is_cut(
    output: Callable[[str], str], place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """A guest that may write its directory can put a file there that it may not write."""
    (place / "share").mkdir()
    (place / "kept").write_bytes(b"x" * (1 << 20))
    share = "shares: [{tag: s, path: ./share, read_only: false}]\n"
    plan = planned(place, PROGRAM + share + output("./share/log"))
    calls = place / "calls"
    environment = {
        **os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(calls),
        "KRUN_RECORDER_STAY": "1",
    }  # fmt: skip
    options = ["--libkrun", str(build("v1")), "--runtime-dir", str(place / "r")]
    command = [*LAUNCHER, *options, "--console-max", "64KiB", str(plan)]
    with started(command, env=environment, stderr=subprocess.PIPE) as launcher:
        entered(calls, launcher)
        log = place / "share/log"
        log.write_bytes(b"y" * (1 << 20))
        wait_until(lambda: log.stat().st_blocks * 512 <= 1 << 16, launcher)
        log.rename(place / "share/old")
        os.link(place / "kept", log)
        # It is looked at once a second.
        with pytest.raises(subprocess.TimeoutExpired):
            launcher.wait(2.5)
        assert (place / "kept").read_bytes() == b"x" * (1 << 20)
