"""The process above the VM's: how ends of the VM reach the one who launched it, and what of the
launcher's is left in the VM's process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher._rules import VERSION
from krunc_launcher.supervise import child
from krunc_launcher.supervise.programs import Program
from processes import PATIENCE, children, entered, gone, started, variables, wait_until, waits
from recorder.fixtures import LAUNCHER, Launch
from recorder.source import source
from terminals import terminal

BOX = """\
krunc: 1
name: watched
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/link, env: {TOKEN: {from_env: TOKEN}}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan whose program is there, behind a link that leads somewhere else outside the guest."""
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    (tmp_path / "rootfs/real").write_text("the program")
    (tmp_path / "rootfs/real").chmod(0o755)
    (tmp_path / "rootfs/bin/link").symlink_to("/real")
    (tmp_path / "box.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


@contextmanager
def running(
    plan: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    *options: str,
    before: tuple[str, ...] = (),
    **more: Any,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A launch whose VM stays; and the process that became it."""
    record = plan.with_name("calls")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(fake_kvm),
        "KRUN_RECORDER": str(record),
        "KRUN_RECORDER_STAY": "1",
        "TOKEN": "a-secret-value",
    }
    command = [*before, *LAUNCHER, "--libkrun", str(build("v1")), *options]
    command += ["--runtime-dir", str(plan.with_name("run")), str(plan)]
    streams = {"stderr": more.get("stdout", subprocess.PIPE), **more}
    with started(command, env=environment, **streams) as launcher:
        entered(record, launcher)
        (vm,) = children(launcher.pid)
        yield launcher, vm


@pytest.mark.parametrize(("number", "name"), [(6, "SIGABRT"), (11, "SIGSEGV"), (7, "SIGBUS")])
def test_a_crash_is_told(number: int, name: str, plan: Path, launch: Callable[..., Launch]) -> None:
    done = launch(plan, TOKEN="x", KRUN_RECORDER_SIGNAL=str(number))
    assert done.returncode == 125
    assert done.stderr.startswith(f"krunc: libkrun crashed while the VM ran: {name} ended")


def test_killed(plan: Path, launch: Callable[..., Launch]) -> None:
    done = launch(plan, TOKEN="x", KRUN_RECORDER_SIGNAL="9")
    assert done.returncode == 137
    assert done.stderr.startswith("krunc: the VM's process was killed (SIGKILL)")


def test_a_guest_that_never_started_its_program_is_no_success(
    plan: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(plan, TOKEN="x")
    assert done.returncode == 125
    assert done.stderr.startswith("krunc: the guest ended before its program was started")
    opens = f"r {plan.with_name('rootfs') / 'real'}"
    done = launch(plan, TOKEN="x", KRUN_RECORDER_REACH=opens)
    assert (done.returncode, done.stderr) == (0, "")
    done = launch(plan, TOKEN="x", KRUN_RECORDER_EXIT="3")
    assert (done.returncode, done.stderr) == (3, "")


SECRET = ", env: {TOKEN: {from_env: TOKEN}}"


@pytest.mark.parametrize("secret", [SECRET, ""], ids=["secret", "none"])
@pytest.mark.parametrize("starts", [False, True])
def test_nor_is_one_of_a_fleet(
    starts: bool, secret: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    """Also where the launcher checks the program itself, and so opens it."""
    box = plan.with_name("box.yaml")
    box.write_text(BOX.replace(SECRET, secret))
    assert main(["compile", str(box)]) == 0
    logs, ends = plan.with_name("logs"), plan.with_name("ends")
    opens = {"KRUN_RECORDER_REACH": f"r {plan.with_name('rootfs') / 'real'}"} if starts else {}
    options = ("--log-dir", str(logs), "--exit-record", str(ends))
    done = launch(plan, *options, TOKEN="x", **opens)
    assert done.returncode == (0 if starts else 1), done.stderr
    end = json.loads((ends / "box.json").read_text())
    told = (end["status"], end["reason"], end["program_seen"])
    assert told == ((0, "exited", True) if starts else (125, "guest_kernel", False))


@pytest.mark.parametrize("secret", [SECRET, ""], ids=["secret", "none"])
def test_that_the_launcher_looks_at_a_root_is_not_taken_for_a_guest_that_starts(
    secret: str, plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """While two VMs run, the root of the third is looked at, which is theirs."""
    box = plan.with_name("box.yaml")
    matrix = "name: box-{{ n }}\nmatrix: {n: {from: 1, to: 3}}\n"
    box.write_text(BOX.replace("name: watched\n", matrix).replace(SECRET, secret))
    plans = plan.with_name("plans")
    plans.mkdir()
    assert main(["compile", str(box), "-o", str(plans)]) == 0
    record, ends = plan.with_name("calls"), plan.with_name("ends")
    command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir"]
    command += map(
        str, (plan.with_name("run"), "--log-dir", plan.with_name("logs"), "--exit-record", ends)
    )
    env = {"LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(record), "KRUN_RECORDER_STAY": "1"}
    env |= {**os.environ, **env, "TOKEN": "x"}
    with started([*command, "-j", "2", plans], env=env, stderr=subprocess.PIPE) as launcher:
        entered(record, launcher, 2)
        os.kill(children(launcher.pid)[0], signal.SIGKILL)
        entered(record, launcher, 3)
        launcher.send_signal(signal.SIGTERM)
        launcher.communicate(timeout=PATIENCE)
    seen = {one.stem: json.loads(one.read_text())["program_seen"] for one in ends.iterdir()}
    # Of the second nobody knows: it may have opened its program just then.
    assert seen == {"box-1": False, "box-2": None, "box-3": False}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_are_passed_on(
    number: signal.Signals, plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    with running(plan, build, fake_kvm, stdin=subprocess.DEVNULL) as (launcher, vm):
        launcher.send_signal(number)
        # SIGTERM asks the guest by a SIGINT, which the recorder does not handle.
        expected = signal.SIGINT if number == signal.SIGTERM else number
        assert launcher.wait(PATIENCE) == -expected
        assert gone(vm)


def test_the_vm_dies_with_the_launcher(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    with running(plan, build, fake_kvm) as (launcher, vm):
        launcher.kill()
        assert gone(vm)


def test_the_vm_of_another_user_dies_with_the_launcher(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """The kernel forgets then that the VM's process was to end with its parent."""
    plan.with_name("box.yaml").write_text(BOX + "run_as: {uid: 0, gid: 0}\n")
    assert main(["compile", str(plan.with_name("box.yaml"))]) == 0
    with running(plan, build, fake_kvm) as (launcher, vm):
        launcher.kill()
        assert gone(vm)


def test_die_with_parent(plan: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """The parent is a shell that stays while it is not killed."""
    record = plan.with_name("calls")
    words = [*LAUNCHER, "--die-with-parent", "--libkrun", str(build("v1")), "--runtime-dir"]
    words += [str(plan.with_name("run")), str(plan)]
    environment = {"LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(record), "TOKEN": "x"}
    with started(
        ["sh", "-c", '"$@" & wait', "sh", *words],
        env={**os.environ, **environment, "KRUN_RECORDER_STAY": "1"},
    ) as shell:
        entered(record, shell)
        (launcher,) = children(shell.pid)
        (vm,) = children(launcher)
        shell.kill()
        shell.wait()
        assert gone(launcher)
        assert gone(vm)


def test_what_the_vm_keeps_of_its_parents(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    # Only root can have capabilities that are inherited.
    before = ("setpriv", "--inh-caps=+sys_admin") if os.geteuid() == 0 else ()
    with (
        plan.open() as secret,
        running(plan, build, fake_kvm, before=before, pass_fds=[secret.fileno()]) as (launcher, vm),
    ):
        assert variables(vm) == b""
        # It wipes its own behind the start of the VM, which may run by then.
        wait_until(lambda: not variables(launcher.pid), launcher)
        for pid in (launcher.pid, vm):
            assert b"a-secret-value" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        names = [os.readlink(entry) for entry in Path(f"/proc/{vm}/fd").iterdir()]
        assert str(plan) not in names
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{vm}/status").read_text().splitlines()
        )
        files = sum(1 << number for number in (0, 1, 3, 4, 6, 7, 31))
        for capabilities in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(status[capabilities], 16) & ~files == 0
        if os.geteuid() == 0:
            assert int(status["CapBnd"], 16) & ~files == 0
            assert int(status["CapEff"], 16) != 0


KEPT = [
    ("", "{}", {"RUST_LOG"}),
    ("", "{level: error, environment: false}", set()),
    ("gpu: {flags: [venus]}\n", "{}", {"RUST_LOG", "WAYLAND_DISPLAY", "HOME"}),
]


@pytest.mark.parametrize(("more", "log", "names"), KEPT)
def test_variables_that_the_vm_keeps(
    more: str,
    log: str,
    names: set[str],
    plan: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What libkrun's log takes from there, and what a window needs; the C library sees them."""
    box = plan.with_name("box.yaml")
    box.write_text(f"{BOX}log: {log}\n{more}")
    assert main(["compile", str(box)]) == 0
    for name in ("RUST_LOG", "WAYLAND_DISPLAY", "OTHER", "HOME"):
        monkeypatch.setenv(name, "of the launcher")
    for name in ("XDG_RUNTIME_DIR", "DISPLAY", "XAUTHORITY", "PULSE_SERVER", "RUST_LOG_STYLE"):
        monkeypatch.delenv(name, raising=False)
    record = plan.with_name("calls")
    command = [
        *LAUNCHER,
        "--libkrun",
        str(build("v1")),
        "--runtime-dir",
        str(plan.with_name("run")),
    ]
    variables = {"LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(record), "TOKEN": "x"}
    subprocess.run(
        [*command, str(plan)],
        env={**os.environ, **variables, "KRUN_RECORDER_EXIT": "7", "KRUN_RECORDER_KEPT": "1"},
        check=False,
    )
    (entered,) = [row for row in map(json.loads, record.read_text().splitlines()) if "kept" in row]
    assert set(entered["kept"]) == names


REFUSED = (
    "krun_set_vm_config(ctx, 4, 4096); returned -22, EINVAL, invalid argument; libkrun "
    "refuses the arguments, or cannot build the VM from them"
)
RECORDS = [
    (
        {"KRUN_RECORDER_EXIT": "7"},
        {"status": 7, "reason": "exited", "signal": None, "message": "", "program_seen": False},
    ),
    ({}, {"status": 125, "reason": "guest_kernel", "signal": None, "program_seen": False}),
    ({"KRUN_RECORDER_SIGNAL": "6"}, {"status": 125, "reason": "crashed", "signal": 6}),
    ({"KRUN_RECORDER_SIGNAL": "9"}, {"status": 137, "reason": "killed", "signal": 9}),
    ({"KRUN_RECORDER_SIGNAL": "1"}, {"status": 129, "reason": "signal", "signal": 1}),
    ({"KRUN_RECORDER_FAIL": "krun_start_enter=-22"}, {"status": 125, "reason": "not_started"}),
    (
        {"KRUN_RECORDER_FAIL": "krun_set_root=-22"},
        {"status": 125, "reason": "not_started", "run_s": None},
    ),
    ({"FAKE_KVM": "absent"}, {"status": 125, "reason": "not_started", "run_s": None}),
    (
        {"KRUN_RECORDER_FAIL": "krun_set_vm_config=-22"},
        {"reason": "not_started", "program_seen": False, "message": REFUSED},
    ),
]


@pytest.mark.parametrize(("given", "expected"), RECORDS)
def test_exit_record(
    given: dict[str, str], expected: dict[str, Any], plan: Path, launch: Callable[..., Launch]
) -> None:
    path = plan.with_name("exit.json")
    variables = {"TOKEN": "x", **given}
    kvm = variables.pop("FAKE_KVM", "works")
    before = time.monotonic()
    launch(plan, "--exit-record", str(path), kvm=kvm, **variables)
    took = time.monotonic() - before
    record = json.loads(path.read_text())
    assert record.pop("krunc_exit") == 1
    assert record.pop("krunc") == VERSION, "which krunc ran the plan"
    assert set(record) == {
        "status", "reason", "signal", "message", "program_seen", "start_s", "run_s", "ended_by", "started_s",
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected
    assert 0 < record["start_s"] < took
    assert list(plan.parent.glob("exit.json.*")) == []


ENDS = {
    "when it is loaded": ("static void load(void) {", "before the VM ran"),
    "in the first call": (" krun_create_ctx(", "in krun_create_ctx"),
    "in the last but one": (" krun_set_exec(", "in krun_set_exec"),
}


@pytest.fixture
def ending(tmp_path: Path) -> Callable[[str, int], Path]:
    """Makes a libkrun that ends its process in one of ENDS, with an exit code."""

    def make(where: str, status: int) -> Path:
        text = source("v1")
        at = text.index("{", text.index(ENDS[where][0])) + 1
        (tmp_path / "krun.c").write_text(f"{text[:at]} _exit({status}); {text[at:]}")
        library = tmp_path / "libkrun.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "krun.c"], check=True)
        return library

    return make


@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize("where", ENDS)
def test_no_vm_that_was_not_started_ends_with_the_status_of_the_library(
    where: str,
    status: int,
    plan: Path,
    launch: Callable[..., Launch],
    ending: Callable[[str, int], Path],
) -> None:
    record = plan.with_name("exit.json")
    options = ("--exit-record", str(record))
    done = launch(plan, *options, library=ending(where, status), TOKEN="x")
    said = (
        f"libkrun ended the VM's process {ENDS[where][1]}, with exit code {status}; what it said of "
        "that is on standard error"
    )
    assert (done.returncode, done.stderr) == (125, f"krunc: {said}\n")
    found = json.loads(record.read_text())
    assert (found["reason"], found["status"], found["message"]) == ("not_started", 125, said)


@pytest.mark.parametrize("where", ENDS)
def test_nor_does_a_vm_of_several(
    where: str, plan: Path, launch: Callable[..., Launch], ending: Callable[[str, int], Path]
) -> None:
    logs, ends = plan.with_name("logs"), plan.with_name("ends")
    options = ("--log-dir", str(logs), "--exit-record", str(ends))
    done = launch(plan, *options, library=ending(where, 0), TOKEN="x")
    assert done.returncode == 1, done.stderr
    said = f"box: libkrun ended the VM's process {ENDS[where][1]}, with exit code 0"
    assert f"krunc: {said}; what it said of that is in {logs}/box.err\n" in done.stderr
    assert "krunc: box: ended with status 125" in done.stderr
    assert json.loads((ends / "box.json").read_text())["reason"] == "not_started"


BLOCKS = """
static void blocks(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}
"""


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_timeout_is_told_only_where_it_has_ended_the_vm(
    is_asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may have asked for the end before, which the guest then takes its time for."""
    now = time.monotonic()
    monkeypatch.setattr(child, "monotonic", lambda: now)
    read, write = os.pipe()
    os.write(write, b"enter 0.0\0")
    os.close(write)
    with started(["sleep", "1000"]) as process:
        vm = child.Vm(process.pid, (read, -1), Program(-1), 0, (600, 0, 3), now)
        now += 1
        vm.end_when_late()
        assert process.poll() is None
        if is_asked:
            vm.send(signal.SIGTERM)
        now += 3
        vm.end_when_late()
        assert process.wait(PATIENCE) == -signal.SIGTERM
        end = vm.ended(0, frozenset([signal.SIGTERM]))
    assert (end.reason, end.status) == (("exited", 0) if is_asked else ("timeout", 124))


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"])
def test_a_signal_that_is_ignored_stays_ignored(
    name: str, plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """By nohup, or by a script's &."""
    number = signal.Signals[name]

    def ignoring() -> None:
        signal.signal(number, signal.SIG_IGN)

    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "preexec_fn": ignoring}
    with running(plan, build, fake_kvm, **streams) as (launcher, vm):
        launcher.send_signal(number)
        wait_until(lambda: not waits(launcher.pid, number), launcher)
        time.sleep(0.5)
        # What was passed on would have ended the VM before this one.
        launcher.send_signal(signal.SIGUSR2)
        assert launcher.wait(PATIENCE) == -signal.SIGUSR2
        assert gone(vm)


def filled() -> tuple[int, int]:
    """A pipe that takes nothing any more."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while os.write(write, b"x" * 4096):
            pass
    with suppress(BlockingIOError):
        while os.write(write, b"x"):
            pass
    os.set_blocking(write, True)
    return read, write


def test_a_pipe_that_nobody_reads_holds_nothing_up(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    read, write = filled()
    record = plan.with_name("exit.json")
    options = ("--exit-record", str(record))
    with running(plan, build, fake_kvm, *options, stdin=subprocess.DEVNULL, stdout=write) as run:
        launcher, vm = run
        os.kill(vm, signal.SIGKILL)
        assert launcher.wait(PATIENCE) == 137
    for handle in (read, write):
        os.close(handle)
    assert json.loads(record.read_text())["reason"] == "killed"


SAYS = """
import sys
from krunc_launcher.messages import say
say(["a" * 50_000, "\\u00e4\\U0001f600" * 5_000, "the last"])
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_pipe_that_is_read_slowly_gets_all(encoding: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:backslashreplace"}
    with started([sys.executable, "-c", SAYS], stderr=subprocess.PIPE, env=env) as process:
        assert process.stderr is not None
        said = b""
        while more := os.read(process.stderr.fileno(), 9_000):
            said += more
            time.sleep(0.01)
        assert process.wait(PATIENCE) == 0
    lines = said.decode(encoding).splitlines()
    assert [line[:8] for line in lines] == ["krunc: a", "krunc: " + lines[1][7], "krunc: t"]
    assert len(lines[0]) == len("krunc: ") + 50_000
    assert lines[1].count(lines[1][-1]) >= 5_000


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("way", ["blocks", "stops"])
def test_the_grace_time_is_kept_by_the_process_above(
    way: str, times: int, plan: Path, fake_kvm: Path
) -> None:
    """The VM's process may block what it likes, or stop, as a guest that broke out could."""
    box = plan.with_name("box.yaml")
    box.write_text(BOX + f"stop: {{grace: {1 if times == 1 else 600}}}\n")
    assert main(["compile", str(box)]) == 0
    entering = "static void entered(void) {"
    text = source("v1").replace(entering, f"{BLOCKS}{entering} blocks();")
    plan.with_name("krun.c").write_text(text)
    library = plan.with_name("libkrun.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, plan.with_name("krun.c")], check=True)
    record = plan.with_name("exit.json")
    options = ("--exit-record", str(record))
    with running(plan, lambda _: library, fake_kvm, *options, stdin=subprocess.DEVNULL) as (
        launcher,
        vm,
    ):
        wait_until(lambda: "SigBlk:\tf" in Path(f"/proc/{vm}/status").read_text(), launcher)
        if way == "stops":
            os.kill(vm, signal.SIGSTOP)
        for _ in range(times):
            launcher.send_signal(signal.SIGTERM)
            wait_until(lambda: not waits(launcher.pid, signal.SIGTERM), launcher)
        _, said = launcher.communicate(timeout=PATIENCE)
        assert gone(vm)
    assert launcher.returncode == 137
    assert b"did not end" in said
    assert json.loads(record.read_text())["reason"] == "killed"


def test_a_filter_around_the_launcher_is_named(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """As SystemCallFilter=@system-service of a unit, which kills for Landlock's calls."""
    filtered = (
        "import os, sys\n"
        "from cffi import FFI\n"
        "f = FFI(); f.cdef('int prctl(int, ' + 'unsigned long, ' * 3 + 'unsigned long);')\n"
        "c = f.dlopen(None)\n"
        "lines = b''.join(code.to_bytes(2, 'little') + bytes((yes, no)) + k.to_bytes(4, 'little')\n"
        "    for code, yes, no, k in ((0x20, 0, 0, 0), (0x35, 0, 1, 444), (0x35, 0, 1, 447),\n"
        "                             (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x80000000)))\n"
        "text = f.new('char[]', lines)\n"
        "table = f.new('uint64_t[2]', [5, int(f.cast('uintptr_t', text))])\n"
        "assert c.prctl(38, 1, 0, 0, 0) == 0\n"
        "assert c.prctl(22, 2, int(f.cast('uintptr_t', table)), 0, 0) == 0\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    for confine, status in (("best-effort", 7), ("required", 125)):
        plan.with_name("box.yaml").write_text(BOX + f"confine: {confine}\n")
        assert main(["compile", str(plan.with_name("box.yaml"))]) == 0
        command = [*LAUNCHER, "--libkrun", str(build("v1")), str(plan)]
        done = subprocess.run(
            [sys.executable, "-c", filtered, *command, "--runtime-dir", str(plan.with_name("run"))],
            env={**os.environ, "LD_PRELOAD": str(fake_kvm), "TOKEN": "x", "KRUN_RECORDER_EXIT": "7"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert "a filter of system calls around the launcher" in done.stderr
        assert "libkrun" not in done.stderr


def test_the_terminal_is_as_before(plan: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """libkrun makes it raw and its streams non-blocking, and leaves them so."""
    with terminal() as (_, theirs):
        slave = theirs.fileno()
        before = termios.tcgetattr(slave)
        with running(plan, build, fake_kvm, stdin=slave) as (launcher, vm):
            raw = termios.tcgetattr(slave)
            raw[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(slave, termios.TCSANOW, raw)
            os.set_blocking(slave, False)
            os.kill(vm, signal.SIGABRT)
            assert launcher.wait(PATIENCE) == 125
        assert termios.tcgetattr(slave) == before
        assert os.get_blocking(slave)


def test_a_child_signal_that_is_ignored(
    plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """Some supervisors ignore SIGCHLD, which would take the status away."""
    command = [
        *LAUNCHER,
        "--libkrun",
        str(build("v1")),
        "--runtime-dir",
        str(plan.with_name("run")),
    ]
    done = subprocess.run(
        ["sh", "-c", 'trap "" CHLD; exec "$@"', "sh", *command, str(plan)],
        env={**os.environ, "LD_PRELOAD": str(fake_kvm), "TOKEN": "x", "KRUN_RECORDER_EXIT": "3"},
        check=False,
    )
    assert done.returncode == 3


def test_console_max(plan: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """The old part of a console's file takes no space any more; the new one stays in its place."""
    box = plan.with_name("box.yaml")
    box.write_text(BOX + "console: {output: ./console.log}\n")
    assert main(["compile", str(box)]) == 0
    console = plan.with_name("console.log")
    lines = b"".join(b"line %07d\n" % number for number in range(200000))
    with running(plan, build, fake_kvm, "--console-max", "256KiB") as (launcher, _):
        with console.open("wb") as writer:
            writer.write(lines)
        wait_until(lambda: console.stat().st_blocks * 512 <= 1 << 18, launcher)
        assert launcher.poll() is None
        assert 1 << 16 < console.stat().st_blocks * 512 <= 1 << 18
        assert console.stat().st_size == len(lines)
        assert console.read_bytes()[-100000:] == lines[-100000:]
        assert console.read_bytes()[:100000] == bytes(100000)


@pytest.mark.parametrize("size", ["10", "1KiB", "xMiB", "-1MiB", "", "9999999999GiB"])
def test_console_max_that_is_none(size: str, plan: Path) -> None:
    command = [*LAUNCHER, f"--console-max={size}", str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--console-max" in done.stderr


WAITING = """
import os, signal, sys
from krunc_launcher.supervise.child import WAITED_FOR, hold
from krunc_launcher.supervise.watch import end_by
hold()
os.kill(os.getpid(), int(sys.argv[1]))
end_by(int(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 10, 12, 15])
@pytest.mark.parametrize("waiting", [1, 2, 3, 10, 15, 17, 18, 29])
def test_it_ends_by_the_signal_of_the_vm_and_by_no_other(waiting: int, number: int) -> None:
    """A stage that hangs up leaves a SIGIO, which nobody takes any more."""
    words = [sys.executable, "-c", WAITING, str(waiting), str(number)]
    assert subprocess.run(words, timeout=PATIENCE).returncode == -number
