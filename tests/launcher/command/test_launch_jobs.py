"""So many VMs at once (--jobs), what is told of them, and all boxes of a matrix in one command."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.options import UsageError, options
from processes import PATIENCE, children, entered, gone, started, wait_until
from recorder.fixtures import LAUNCHER
from recorder.source import source
from roots import runnable
from terminals import on_terminal, terminal

BOX = """\
krunc: 1
name: "box-{{ ('00' ~ n)[-3:] }}"
matrix: {n: {from: 1, to: COUNT}}
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /dev/a, args: ["number-{{ n }}"]}
stop: {on_sigterm: interrupt, grace: 1}
"""
UNKNOWN = "whether its program was started is unknown"


class Fleet:
    """A directory with a box file that makes several, and its plans."""

    def __init__(self, place: Path, library: Path, fake_kvm: Path) -> None:
        self.place = place
        self.record = place / "calls"
        self.command = [
            *LAUNCHER, "--libkrun", str(library), "--runtime-dir", str(place / "run"),
            "--log-dir", str(place / "logs"), "--exit-record", str(place / "ends"),
        ]  # fmt: skip
        self.env = {**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(self.record)}
        runnable(place / "rootfs")

    def made(self, count: int, compiled: bool = True) -> Path:
        box = self.place / "fleet.yaml"
        box.write_text(BOX.replace("COUNT", str(count)))
        (self.place / "plans").mkdir()
        if compiled:
            assert main(["compile", str(box), "-o", str(self.place / "plans")]) == 0
        return self.place / "plans"

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words], capture_output=True, text=True, check=False,
            env={**self.env, "KRUN_RECORDER_EXIT": "0", **more}, timeout=PATIENCE,
        )  # fmt: skip

    def staying(self, *words: str, **more: Any) -> Any:
        """A fleet whose VMs run until something ends them."""
        env = {**self.env, "KRUN_RECORDER_STAY": "1"}
        return started([*self.command, *words], env=env, stderr=subprocess.PIPE, **more)

    def entered(self) -> list[int]:
        """The numbers of the VMs in the order in which they were entered."""
        text = self.record.read_text()
        return [int(number) for number in re.findall(r'"number-(\d+)"', text)]

    def runs(self, vms: int, launcher: subprocess.Popen[bytes]) -> None:
        """Wait until so many VMs are there."""
        wait_until(lambda: len(children(launcher.pid)) == vms, launcher)

    def ends(self) -> dict[str, dict[str, Any]]:
        files = sorted((self.place / "ends").iterdir())
        return {path.stem: json.loads(path.read_text()) for path in files}


@pytest.fixture
def fleet(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> Fleet:
    return Fleet(tmp_path, build("v1"), fake_kvm)


def test_never_more_at_once(fleet: Fleet) -> None:
    plans = fleet.made(200)
    with fleet.staying("-j", "8", str(plans)) as launcher:
        entered(fleet.record, launcher, 8)
        for ended in range(200):
            now = min(8 + ended, 200)
            entered(fleet.record, launcher, now)
            assert fleet.record.read_text().count("krun_start_enter") == now
            assert len(children(launcher.pid)) <= 8
            fleet.runs(now - ended, launcher)
            os.kill(children(launcher.pid)[0], signal.SIGKILL)
        _, said = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 1
    # All of them, and from the ninth on one by one.
    assert sorted(fleet.entered()) == list(range(1, 201))
    assert fleet.entered()[8:] == list(range(9, 201))
    assert {end["reason"] for end in fleet.ends().values()} == {"killed"}
    assert len(fleet.ends()) == 200
    lines = said.decode().splitlines()
    assert lines[-2].startswith("krunc: 200 VMs: 0 ended with 0; what each printed is in ")
    assert re.match(
        r"krunc: 200 killed: box-001, box-002, box-003 and 197 more: the VM's process was killed",
        lines[-1],
    )


def test_a_plan_that_waits_is_launched_as_it_was_verified(fleet: Fleet) -> None:
    plans = fleet.made(3)
    with fleet.staying("-j1", str(plans)) as launcher:
        entered(fleet.record, launcher)
        (plans / "box-002.plan.json").write_text("{}")
        (plans / "box-003.plan.json").unlink()
        for vms in (1, 2, 3):
            entered(fleet.record, launcher, vms)
            fleet.runs(1, launcher)
            os.kill(children(launcher.pid)[0], signal.SIGKILL)
        launcher.communicate(timeout=PATIENCE)
    assert fleet.entered() == [1, 2, 3]


@pytest.mark.parametrize("words", [["-j1"], ["-j", "1"], ["--jobs", "1"], ["--jobs=1"], ["-j=1"]])
def test_one_behind_the_other(words: list[str], fleet: Fleet) -> None:
    done = fleet.run(*words, str(fleet.made(20)))
    assert done.returncode == 0, done.stderr
    assert fleet.entered() == list(range(1, 21))
    assert len(fleet.ends()) == 20
    assert done.stderr.count("ended with status 0") == 20
    logs = f"{fleet.place}/logs"
    where = f"what each printed is in {logs}, NAME.out and NAME.err"
    assert done.stderr.splitlines()[-2:] == [
        f"krunc: 20 VMs: all ended with 0; {where}",
        f"krunc: 20 ended with 0: box-001, box-002, box-003 and 17 more: {UNKNOWN}",
    ]


@pytest.mark.parametrize("words", [["-j"], ["-j0"], ["-jx"], ["--jobs=1e3"], ["-j", "-1"], ["-j²"]])
def test_no_number_of_jobs(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"jobs takes a number of VMs, 1 or more|-j needs a value"):
        options([*words, *([] if words == ["-j"] else ["a"])])


def test_those_that_cannot_start_take_no_turn(fleet: Fleet) -> None:
    plans = fleet.made(6)
    for n in (1, 2, 5):
        (plans / f"box-00{n}.plan.json").write_text("{")
    done = fleet.run("-j", "1", str(plans))
    assert done.returncode == 1
    assert fleet.entered() == [3, 4, 6]
    why = "PLAN: this is not JSON: expected a key in double quotes"
    log = f"see {fleet.place}/logs/NAME.err"
    assert f"krunc: 3 not started: box-001, box-002, box-005: {why}; {log}\n" in done.stderr
    message = fleet.ends()["box-002"]["message"]
    assert message.endswith(f"; see {fleet.place}/logs/box-002.err")


def test_the_host_is_looked_at_when_a_turn_comes(fleet: Fleet) -> None:
    plans = fleet.made(3)
    with fleet.staying("-j", "1", str(plans)) as launcher:
        entered(fleet.record, launcher)
        shutil.rmtree(fleet.place / "rootfs")
        os.kill(children(launcher.pid)[0], signal.SIGKILL)
        _, said = launcher.communicate(timeout=PATIENCE)
    assert [end["reason"] for end in fleet.ends().values()] == ["killed", *["not_started"] * 2]
    assert b"krunc: 2 not started: box-002, box-003: " in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_are_stopped_within_the_longest_grace_and_no_more_started(
    number: signal.Signals, fleet: Fleet
) -> None:
    """Also where they do not obey: they are killed two seconds behind their grace time."""
    plans = fleet.made(6)
    with fleet.staying("-j", "2", str(plans)) as launcher:
        entered(fleet.record, launcher, 2)
        for vm in children(launcher.pid):
            os.kill(vm, signal.SIGSTOP)
        launcher.send_signal(number)
        _, said = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 1
    assert sorted(fleet.entered()) == [1, 2]
    ends = fleet.ends()
    assert [end["reason"] for end in ends.values()] == ["killed"] * 2 + ["not_started"] * 4
    told = "the launcher was asked to stop before its turn came"
    assert ends["box-006"]["message"] == told
    assert f"krunc: 4 not started: box-003, box-004, box-005 and 1 more: {told}" in said.decode()


def test_a_hangup_starts_no_more(fleet: Fleet) -> None:
    plans = fleet.made(6)
    with fleet.staying("-j", "2", str(plans)) as launcher:
        entered(fleet.record, launcher, 2)
        launcher.send_signal(signal.SIGHUP)
        launcher.communicate(timeout=PATIENCE)
    assert sorted(fleet.entered()) == [1, 2]
    reasons = [end["reason"] for end in fleet.ends().values()]
    assert reasons == ["signal"] * 2 + ["not_started"] * 4


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT"])
def test_a_signal_that_is_ignored_stays_ignored(name: str, fleet: Fleet) -> None:
    """By nohup, or by a script's &."""
    number = signal.Signals[name]

    def ignoring() -> None:
        signal.signal(number, signal.SIG_IGN)

    plans = fleet.made(2)
    with fleet.staying("-j", "1", str(plans), preexec_fn=ignoring) as launcher:
        entered(fleet.record, launcher)
        launcher.send_signal(number)
        os.kill(children(launcher.pid)[0], signal.SIGKILL)
        entered(fleet.record, launcher, 2)
        os.kill(children(launcher.pid)[0], signal.SIGKILL)
        launcher.communicate(timeout=PATIENCE)
    assert [end["reason"] for end in fleet.ends().values()] == ["killed"] * 2


def loading(fleet: Fleet, act: str) -> None:
    """Have FLEET load a libkrun that does ACT then."""
    made = fleet.place / "krun.c"
    made.write_text(
        f"{source('v1')}\n#include <pthread.h>\n"
        "static void *waits(void *none) { for (;;) pause(); return none; }\n"
        f"__attribute__((constructor)) static void loading(void) {{ {act} }}\n"
    )
    library = made.with_name("libkrun.so")
    command = ["cc", "-shared", "-fPIC", "-pthread", "-o", str(library), str(made)]
    subprocess.run(command, check=True)
    fleet.command[fleet.command.index("--libkrun") + 1] = str(library)


def test_a_thread_of_libkruns_takes_no_signal_of_the_launchers(fleet: Fleet) -> None:
    """Whoever of a process's threads lets a signal through is given it."""
    loading(fleet, "pthread_t made; pthread_create(&made, NULL, waits, NULL);")
    plans = fleet.made(2)
    with fleet.staying(str(plans)) as launcher:
        entered(fleet.record, launcher, 2)
        assert len(list(Path(f"/proc/{launcher.pid}/task").iterdir())) == 2
        for number in (signal.SIGIO, signal.SIGCHLD, signal.SIGUSR1):
            launcher.send_signal(number)
        launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 1
    assert [end["signal"] for end in fleet.ends().values()] == [signal.SIGUSR1] * 2


def test_a_libkrun_that_never_loads_is_not_left_behind(fleet: Fleet) -> None:
    loading(fleet, "for (;;) pause();")
    plans = fleet.made(2)
    with fleet.staying(str(plans)) as launcher:
        fleet.runs(1, launcher)
        (trial,) = children(launcher.pid)
        wait_until(lambda: "libkrun.so" in Path(f"/proc/{trial}/maps").read_text(), launcher)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(PATIENCE) == -signal.SIGTERM
        assert gone(trial)


def test_a_pipe_that_nobody_reads_holds_no_vm_up(fleet: Fleet) -> None:
    plans = fleet.made(3)
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while os.write(write, b"x" * 4096):
            pass
    os.set_blocking(write, True)
    env = {**fleet.env, "KRUN_RECORDER_STAY": "1"}
    with started([*fleet.command, "-j", "2", str(plans)], env=env, stderr=write) as launcher:
        entered(fleet.record, launcher, 2)
        os.kill(children(launcher.pid)[0], signal.SIGKILL)
        entered(fleet.record, launcher, 3)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(PATIENCE) == 1
    for handle in (read, write):
        os.close(handle)
    assert [end["reason"] for end in fleet.ends().values()] == ["killed", "signal", "signal"]


def test_a_signal_for_programs_starts_more(fleet: Fleet) -> None:
    plans = fleet.made(3)
    with fleet.staying("-j", "1", str(plans)) as launcher:
        for n in range(1, 4):
            entered(fleet.record, launcher, n)
            launcher.send_signal(signal.SIGUSR1)
        launcher.communicate(timeout=PATIENCE)
    assert fleet.entered() == [1, 2, 3]


def test_a_ctrl_c_reaches_the_launcher_alone(fleet: Fleet) -> None:
    """Which asks each guest to stop, as for a SIGTERM."""
    plans = fleet.made(6)
    env = {**fleet.env, "KRUN_RECORDER_STAY": "1"}
    with terminal() as (ours, theirs):

        def controlled() -> None:
            os.setsid()
            fcntl.ioctl(theirs.fileno(), termios.TIOCSCTTY, 0)

        command = [*fleet.command, "-j", "2", str(plans)]
        streams = {"stdin": theirs, "stderr": theirs, "preexec_fn": controlled}
        with started(command, env=env, **streams) as launcher:
            entered(fleet.record, launcher, 2)
            vms = children(launcher.pid)
            assert all(os.getsid(vm) == vm for vm in vms)
            ours.write(b"\x03")
            assert launcher.wait(PATIENCE) == 1
            assert all(gone(vm) for vm in vms)
    assert sorted(fleet.entered()) == [1, 2]
    assert len(fleet.ends()) == 6


def test_they_die_with_the_launcher(fleet: Fleet) -> None:
    with fleet.staying("-j", "2", str(fleet.made(3))) as launcher:
        entered(fleet.record, launcher, 2)
        vms = children(launcher.pid)
        launcher.kill()
        launcher.wait()
        assert all(gone(vm) for vm in vms)


def test_progress_on_a_terminal(fleet: Fleet) -> None:
    plans = fleet.made(12)
    for n in range(1, 6):
        (plans / f"box-00{n}.plan.json").write_text("{")
    env = {**fleet.env, "KRUN_RECORDER_EXIT": "3", "TERM": "xterm"}
    status, written = on_terminal([*fleet.command, "-j", "1", str(plans)], env, ["stderr"])
    assert status == 1
    said = written.decode()
    assert "\r\x1b[Kkrunc: 0 of 12 ended, 1 running\r" in said
    assert "\r\x1b[Kkrunc: 11 of 12 ended, 11 not with 0, 1 running\r" in said
    # A reason is said when it comes first; the summary has the others.
    assert said.count("ended with status 125, not started: ") == 1
    assert said.count("ended with status 3") == 1
    assert "krunc: 7 ended with 3: box-006, box-007, box-008 and 4 more\r\n" in said
    assert said.index("12 VMs: 0 ended with 0") < said.index("krunc: 7 ended with 3: ")
    env["TERM"] = "dumb"
    _, written = on_terminal([*fleet.command, "-j", "1", str(plans)], env, ["stderr"])
    assert b"\x1b" not in written
    assert written.count(b"ended with status 3") == 7


def test_names_of_plans_do_not_obey_a_terminal(fleet: Fleet) -> None:
    plans = fleet.made(3)
    for n in range(1, 4):
        (plans / f"box-00{n}.plan.json").rename(plans / f"\x1b[31m{n}\n.plan.json")
    done = fleet.run("-j", "2", str(plans), KRUN_RECORDER_EXIT="3")
    assert "\x1b" not in done.stderr
    assert r"3 ended with 3: \033[31m1\n" in done.stderr


@pytest.fixture
def launched(fleet: Fleet) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs krunc launch on the box file."""
    library = fleet.command[fleet.command.index("--libkrun") + 1]

    def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "krunc", "launch", "--libkrun", library]
        command += ["--runtime-dir", f"{fleet.place}/run", *words, f"{fleet.place}/fleet.yaml"]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE,
            env={**fleet.env, "KRUN_RECORDER_EXIT": "0", **(env or {})}, cwd="/",
        )  # fmt: skip

    return run


def test_all_boxes_of_a_matrix(
    fleet: Fleet, launched: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fleet.made(12, compiled=False)
    logs, ends = fleet.place / "logs", fleet.place / "ends"
    done = launched("--log-dir", str(logs), "--exit-record", str(ends), "-j1")
    assert done.returncode == 0, done.stderr
    assert fleet.entered() == list(range(1, 13))
    names = [f"box-{n:03}" for n in range(1, 13)]
    assert list(fleet.ends()) == names
    assert sorted(path.name for path in logs.iterdir()) == sorted(
        f"{name}.{kind}" for name in names for kind in ("out", "err")
    )
    assert not list(fleet.place.glob("**/*.plan.json"))
    done = launched("--log-dir", str(logs), "--box", "box-007", env={"KRUN_RECORDER_EXIT": "3"})
    assert done.returncode == 1
    assert "box-007: ended with status 3" in done.stderr
    assert launched("--box", "box-008", env={"KRUN_RECORDER_EXIT": "3"}).returncode == 3


def test_a_matrix_and_digests(
    fleet: Fleet, launched: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fleet.made(3, compiled=False)
    assert main(["compile", str(fleet.place / "fleet.yaml")]) == 0
    approved = fleet.place / "approved"
    listed = [str(fleet.place / f"box-00{n}.plan.json") for n in (1, 3)]
    digest = [sys.executable, "-m", "krunc", "digest", *listed]
    approved.write_text(subprocess.run(digest, capture_output=True, text=True, check=True).stdout)
    words = ["--log-dir", str(fleet.place / "logs")]
    done = launched(*words, "--require-digest", str(approved))
    assert done.returncode == 1
    assert "krunc: 3 VMs: 2 ended with 0" in done.stderr
    assert "krunc: 1 not started: box-002: " in done.stderr


def test_what_several_boxes_need(
    fleet: Fleet, launched: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fleet.made(3, compiled=False)
    for words, why in (
        (
            [],
            "makes 3 boxes; name --log-dir DIR, for what each VM prints, or choose one with --box",
        ),
        (["--dry-run"], "makes 3 boxes; --dry-run takes one: choose one with --box: box-001, box-"),
        (["--log-dir", "l", "--dry-run"], "--dry-run takes one"),
    ):
        done = launched(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
    assert not fleet.record.exists()


STREAMS = {
    "half": b"a\0{}",
    "name alone": b"a\0",
    "three": b"a\0{}\0b\0",
    "no end": b"a\0{}\0b\0{}",
    "above": b"../a\0{}\0",
    "dots": b"..\0{}\0",
    "no name": b"\0{}\0",
    "twice": b"a\0{}\0a\0{}\0",
    "NULs": b"\0\0\0",
}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_is_none(stream: str, fleet: Fleet) -> None:
    done = streamed(fleet, STREAMS[stream])
    assert done.returncode == 2
    assert done.stderr.startswith(b"krunc: ")
    assert b"Traceback" not in done.stderr
    assert not (fleet.place / "logs").exists()


@pytest.mark.parametrize("name", [".plan.json", "..plan.json", "...plan.json", "...json"])
def test_a_plan_whose_file_name_leads_elsewhere(name: str, fleet: Fleet) -> None:
    """A runtime directory called `..` would be the one above."""
    plans = fleet.made(1)
    (plans / "box-001.plan.json").rename(plans / name)
    shutil.copy(plans / name, plans / "other.plan.json")
    given = [plans] if name.endswith(".plan.json") else [plans / name, plans / "other.plan.json"]
    done = fleet.run(*map(str, given))
    assert done.returncode == 2
    assert f'{plans}/{name}: a VM cannot be called "' in done.stderr
    for made in ("logs", "run", "ends", "calls"):
        assert not (fleet.place / made).exists()
    listed = main(["digest", "--fleet", str(plans), "-o", str(fleet.place / "list")])
    assert (listed, (fleet.place / "list").exists()) == (1, False)


def test_a_plan_of_a_stream_that_is_none_stops_no_other(fleet: Fleet) -> None:
    plan = (fleet.made(1) / "box-001.plan.json").read_bytes()
    words = ["--base", str(fleet.place / "plans")]
    done = streamed(fleet, b"a\0{\0b\0" + plan + b"\0c\0\xff\0", *words)
    assert done.returncode == 1
    assert {name: end["reason"] for name, end in fleet.ends().items()} == {
        "a": "not_started", "b": "exited", "c": "not_started",
    }  # fmt: skip
    assert b"this is not UTF-8" in done.stderr


def test_a_reason_is_told_once_wherever_it_stands(
    fleet: Fleet, launched: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As the names and numbers of plans get longer, the same key is in another column."""
    fleet.made(12, compiled=False)
    text = (
        (fleet.place / "fleet.yaml").read_text().replace('"]}', '"], env: {A: {from_env: NONE}}}')
    )
    (fleet.place / "fleet.yaml").write_text(text)
    assert main(["compile", str(fleet.place / "fleet.yaml"), "-o", str(fleet.place / "plans")]) == 0
    why = "the launcher's variable NONE is not set; set it for krunc launch"
    told = "krunc: 12 not started: box-001, box-002, box-003 and 9 more: PLAN: operations"
    for done in (
        fleet.run(str(fleet.place / "plans")),
        launched("--log-dir", str(fleet.place / "l")),
    ):
        *_, head, last = done.stderr.splitlines()
        assert head.startswith("krunc: 12 VMs: 0 ended with 0; ")
        assert last.startswith(told)
        assert why in last


def streamed(fleet: Fleet, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    file = os.memfd_create("plans", 0)
    try:
        os.write(file, data)
        os.lseek(file, 0, os.SEEK_SET)
        return subprocess.run(
            [*fleet.command, *words, f"/dev/fd/{file}"], capture_output=True, pass_fds=[file],
            env={**fleet.env, "KRUN_RECORDER_EXIT": "0"}, check=False, timeout=PATIENCE,
        )  # fmt: skip
    finally:
        os.close(file)
