"""The files that the launcher writes for VMs, logs and exit records: no guest can have them lead
elsewhere, and what is no log is not emptied."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from processes import PATIENCE, entered, started, wait_until
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

# Of another launch, which would be replaced.
KEPT = '{"krunc_exit": 1, "status": 0}'
BOX = """\
krunc: 1
name: NAME
rootfs: {path: ./rootfs}
network: {mode: none}
stop: {on_sigterm: kill}
entrypoint: {executable: /bin/a}
"""
SHARE = "shares: [{tag: s, path: ./share, read_only: false}]\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two plans: the guest of `a` may write ./share, that of `b` nothing of it."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "share").mkdir()
    (tmp_path / "also").symlink_to("share")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/x").write_text(KEPT)
    for name, share in (("a", SHARE), ("b", "")):
        box = tmp_path / f"{name}.yaml"
        root = "./rootfs, read_only: true" if name == "b" else "./rootfs"
        box.write_text(BOX.replace("NAME", name).replace("./rootfs", root) + share)
        assert main(["compile", str(box)]) == 0
    return tmp_path


@pytest.fixture
def fleet(place: Path, build: Callable[..., Path]) -> list[str]:
    """krunc launch for both plans; where the logs go is said behind it."""
    command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(place / "run")]
    return [*command, str(place / "a.plan.json"), str(place / "b.plan.json"), "--log-dir"]


def answers(place: Path, fake_kvm: Path, **more: str) -> dict[str, str]:
    """With the recorder's answers."""
    return {
        **os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(place / "calls"), **more,
    }  # fmt: skip


# Ways to a directory that the guest of `a` may write.
WAYS = ["share", "share/new", "share/new/er", "also", "kept/../share", "share/led", "rootfs/bin"]


@pytest.mark.parametrize("option", ["--log-dir", "--exit-record"])
@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_a_guest_may_write(
    way: str, option: str, fleet: list[str], place: Path, fake_kvm: Path
) -> None:
    """Nothing is made there, and no VM is started."""
    (place / "share/led").symlink_to("../kept")
    before = sorted(place.rglob("*"))
    rest = (
        [str(place / way)]
        if option == "--log-dir"
        else [str(place / "logs"), option, str(place / way)]
    )
    done = subprocess.run(
        [*fleet, *rest], env=answers(place, fake_kvm), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{option}: a guest of this launch may write {place / way}, and could put" in done.stderr
    assert [path for path in sorted(place.rglob("*")) if path.name != "logs"] == before


@pytest.mark.parametrize("way", WAYS)
def test_an_exit_record_that_a_guest_could_lead_elsewhere(
    way: str, place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "share/led").symlink_to("../kept")
    before = sorted(path for path in place.rglob("*") if "run" not in path.parts)
    done = launch(place / "a.plan.json", "--exit-record", str(place / way / "x"))
    assert done.returncode == 125
    assert (
        f"--exit-record: a guest of this launch may write {place / way}, and could" in done.stderr
    )
    assert done.calls == []
    assert sorted(path for path in place.rglob("*") if "run" not in path.parts) == before
    assert (place / "kept/x").read_text() == KEPT


def test_an_exit_record_elsewhere(place: Path, launch: Callable[..., Launch]) -> None:
    """In a directory that is there or in that of the caller, and into an open descriptor."""
    plan = place / "a.plan.json"
    assert launch(plan, "--exit-record", str(place / "end"), KRUN_RECORDER_EXIT="7").returncode == 7
    assert json.loads((place / "end").read_text())["status"] == 7
    assert launch(plan, "--exit-record", "/dev/stderr", KRUN_RECORDER_EXIT="7").returncode == 7
    done = launch(plan, "--exit-record", "/dev/fd/2", KRUN_RECORDER_EXIT="7")
    assert json.loads(done.stderr)["status"] == 7


@pytest.mark.parametrize("ending", ["out", "err"])
@pytest.mark.parametrize("what", ["a FIFO", "a link", "a hard link"])
def test_what_is_no_log(
    what: str, ending: str, fleet: list[str], place: Path, fake_kvm: Path
) -> None:
    """Its VM alone is not started. A FIFO is not waited for."""
    (place / "logs").mkdir()
    log = place / f"logs/a.{ending}"
    match what:
        case "a FIFO":
            os.mkfifo(log)
        case "a link":
            log.symlink_to("../kept/x")
        case _:
            os.link(place / "kept/x", log)
    done = subprocess.run(
        [*fleet, str(place / "logs")], env=answers(place, fake_kvm, KRUN_RECORDER_EXIT="7"),
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "krunc: a: ended with status 125, not started: " in done.stderr
    assert f"a.{ending}" in done.stderr
    assert "krunc: b: ended with status 7" in done.stderr
    assert (place / "kept/x").read_text() == KEPT


def test_logs_of_vms_that_run(fleet: list[str], place: Path, fake_kvm: Path) -> None:
    """A second launch into them does not start, and empties nothing."""
    logs = str(place / "logs")
    with started([*fleet, logs], env=answers(place, fake_kvm, KRUN_RECORDER_STAY="1")) as first:
        entered(place / "calls", first, 2)
        (place / "logs/b.out").write_text(KEPT)
        second = subprocess.run(
            [*fleet, logs],
            env=answers(place, fake_kvm),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert second.stderr.count("is in use: another process (process") >= 2
        assert "()" not in second.stderr, "no key of a box asks for a log"
        assert (place / "logs/b.out").read_text() == KEPT


@pytest.mark.parametrize("ending", ["out", "err"])
def test_logs_that_are_kept_small(
    ending: str, fleet: list[str], place: Path, fake_kvm: Path
) -> None:
    (place / "led").symlink_to(".")
    command = [*fleet, str(place / "led/logs"), "--console-max", "64KiB"]
    with started(command, env=answers(place, fake_kvm, KRUN_RECORDER_STAY="1")) as launcher:
        entered(place / "calls", launcher, 2)
        log = place / f"logs/b.{ending}"
        with log.open("ab") as writer:
            writer.write(b"y" * (1 << 20))
        wait_until(lambda: log.stat().st_blocks * 512 <= 1 << 16, launcher)
        assert log.stat().st_size == 1 << 20
        assert log.read_bytes()[-30000:] == b"y" * 30000
