"""What a program beside a VM has started ends with the VM, also what runs in the background."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from passts import command, environment, planned, script
from processes import below, children, entered, gone, started

# Each process writes its number down. Of the daemons that it leaves the last one is passt itself.
DAEMONS = """\
stray() { setsid sh -c "echo \\$\\$ >>AT/pids; $1; sleep 1000" & }
stray true
stray 'sleep 1000 & true'
(stray 'trap "" TERM HUP INT' &) &
while [ "$(wc -l <AT/pids)" != 3 ]; do sleep 0.01; done
setsid sh -c 'echo $$ >>AT/pids; exec /usr/bin/passt "$@"' sh "$@" &
END"""
LEAVES = "exit 0"
STAYS = "echo $$ >>AT/pids; wait; sleep 1000"


def leaving(directory: Path, end: str = LEAVES) -> Path:
    """A plan with a passt that leaves daemons behind, and then does END."""
    (directory / "pids").touch()
    text = DAEMONS.replace("END", end).replace("AT", str(directory))
    return planned(directory, script(directory, text))


def left(directory: Path) -> list[int]:
    """The processes that were written down."""
    return list(map(int, (directory / "pids").read_text().split()))


@pytest.mark.parametrize("end", [LEAVES, STAYS])
@pytest.mark.parametrize(
    "by", ["the VM", "SIGTERM", "SIGINT", "SIGTERM twice", "the VM's SIGKILL", "SIGKILL"]
)
def test_nothing_is_left(
    by: str, end: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    words = command(build, tmp_path, leaving(tmp_path, end))
    env = environment(fake_kvm, tmp_path)
    if by == "the VM":
        del env["KRUN_RECORDER_STAY"]
        env["KRUN_RECORDER_EXIT"] = "7"
    with started(words, env=env, stderr=subprocess.PIPE, start_new_session=True) as launcher:
        if by == "the VM":
            assert launcher.wait() == 7
        else:
            entered(tmp_path / "calls", launcher)
            alive = below(launcher.pid)
            assert set(left(tmp_path)) <= set(alive)
            if by == "the VM's SIGKILL":
                (vm,) = (one for one in children(launcher.pid) if not children(one))
                os.kill(vm, signal.SIGKILL)
            else:
                for name in by.replace(" twice", " SIGTERM").split():
                    launcher.send_signal(signal.Signals[name])
            assert all(map(gone, alive))
        assert launcher.stderr is not None
        assert b"passt has ended" not in launcher.stderr.read(), "it served until the end"
    assert len(left(tmp_path)) == (4 if end == LEAVES else 5)
    assert all(map(gone, left(tmp_path)))


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["--libkrun", "/nowhere/libkrun.so"], {}, "/nowhere/libkrun.so"),
        ([], {"KRUN_RECORDER_FAIL": "krun_set_vm_config=-22"}, "krun_set_vm_config"),
    ],
)
def test_nothing_is_left_by_a_launch_that_is_refused(
    words: list[str],
    variables: dict[str, str],
    said: str,
    tmp_path: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
) -> None:
    words = [*command(build, tmp_path, leaving(tmp_path)), *words]
    env = environment(fake_kvm, tmp_path, **variables)
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 125
    assert said in done.stderr
    assert "krun_start_enter" not in (done.stderr + done.stdout)
    assert left(tmp_path)
    assert all(map(gone, left(tmp_path)))


@pytest.mark.parametrize("end", ["exit 3", "exec 3>&-; sleep 1000", "kill -9 $$", "kill -SEGV $$"])
def test_nothing_is_left_by_one_that_does_not_serve(
    end: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """Its last daemon is no passt either."""
    (tmp_path / "pids").touch()
    text = DAEMONS.replace("END", end).replace("AT", str(tmp_path))
    text = text.replace('exec /usr/bin/passt "$@"', "sleep 1000").replace("setsid", "setsid 3>&-")
    plan = planned(tmp_path, script(tmp_path, text))
    env = environment(fake_kvm, tmp_path)
    words = command(build, tmp_path, plan)
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 125
    assert "does not serve: it closed its socket" in done.stderr
    assert len(left(tmp_path)) >= 3
    assert all(map(gone, left(tmp_path)))


def test_a_program_that_stops_its_keeper_holds_nothing_up(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    plan = planned(tmp_path, script(tmp_path, 'kill -STOP $PPID; exec /usr/bin/passt "$@"'))
    env = environment(fake_kvm, tmp_path)
    with started(command(build, tmp_path, plan), env=env) as launcher:
        entered(tmp_path / "calls", launcher)
        alive = below(launcher.pid)
        launcher.send_signal(signal.SIGTERM)
        assert all(map(gone, alive))
        assert gone(launcher.pid)


def test_of_many_vms_each_ends_its_own(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    plans = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = leaving(tmp_path / name)
        plans.append(made.rename(made.with_name(f"{name}.plan.json")))
    words = [*command(build, tmp_path, *plans), "--log-dir", str(tmp_path / "logs")]
    with started(words, env=environment(fake_kvm, tmp_path), stderr=subprocess.DEVNULL) as fleet:
        entered(tmp_path / "calls", fleet, 2)
        one, two = left(tmp_path / "one"), left(tmp_path / "two")
        keepers = {keeper: below(keeper) for keeper in children(fleet.pid) if children(keeper)}
        (own,) = (keeper for keeper, all_of_it in keepers.items() if set(one) <= set(all_of_it))
        place = [*children(fleet.pid)].index(own)
        vm = children(fleet.pid)[place + 1]
        os.kill(vm, signal.SIGKILL)
        assert all(map(gone, one))
        assert set(two) <= set(below(fleet.pid)), "the other VM has what it had"
        fleet.send_signal(signal.SIGTERM)
        assert all(map(gone, two))


def test_the_end_of_the_last_daemon_is_the_end_of_passt(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    words = command(build, tmp_path, leaving(tmp_path))
    with started(words, env=environment(fake_kvm, tmp_path), stderr=subprocess.PIPE) as launcher:
        entered(tmp_path / "calls", launcher)
        for one in below(launcher.pid):
            if one in left(tmp_path) or Path(f"/proc/{one}/comm").read_text() == "sleep\n":
                os.kill(one, signal.SIGKILL)
        assert launcher.stderr is not None
        said = launcher.stderr.readline().decode()
        assert said.startswith("krunc: warning: passt has ended with status 0, and with it"), said
        assert launcher.poll() is None, "the VM runs on"
    assert all(map(gone, left(tmp_path)))
