"""The VM's process, forked off by the process above it when the plan and the host are checked."""

from __future__ import annotations

import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_IGN,
    SIG_SETMASK,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGIO,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    getsignal,
    pthread_sigmask,
    signal,
)
from time import monotonic

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import NOT_STARTED, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.supervise.end import End
    from krunc_launcher.supervise.passt import Passt
    from krunc_launcher.supervise.programs import Program
    from krunc_launcher.supervise.report import Report

_PASSED_ON = (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT)
WAITED_FOR = (*_PASSED_ON, SIGINT, SIGCHLD, SIGIO)
# Those that would end the VM's process, and mean something to programs alone.
_FOR_PROGRAMS = (SIGUSR1, SIGUSR2)
_SET_PDEATHSIG = 1  # linux/prctl.h
# So much longer than the VM's process itself the process above waits, for that one may still tell
# how the guest ended.
_SPARE_S = 2.0
# What it may note before the VM is entered, more than 4096 operations take, and behind that.
_MOST_BEFORE, _MOST_BEHIND = 1 << 25, 1 << 16
_ENTERS = b"\0enter "
_GETPIPE_SZ = 1032  # linux/fcntl.h
_SHORT, _LONG = 64, 4400  # bytes of a note on a call, and of one on a file (vm/notes.py)


class Vm:
    """A process that becomes the VM's: `is_mine` there, `pid` for the process above. A file that a
    console writes may take CONSOLE_MAX bytes, 0 for no limit; STOP says how it is ended from
    outside: the time that a SIGTERM leaves the guest, the signal that the stage sends its program
    then (0 where the VM's process asks the guest itself), and after how many seconds that is done
    anyway; 0 for never. `report` is what the stage says, where it has one, for the process above
    alone; NOTES the pipe into which the VM's process tells what it does. The launch has BEGUN then
    (monotonic)."""

    __slots__ = (
        "_asked", "_console_max", "_deadline", "_for_program", "_grace_s", "_heard", "_heeds",
        "_most", "_passt", "_read", "_signal", "_timed_out", "_timeout_s", "_times_out",
        "_was_late", "begun", "given", "notes", "pid", "program", "report",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        pipe: tuple[int, int],
        program: Program,
        console_max: int,
        stop: tuple[int, int, int],
        begun: float,
    ) -> None:
        self.pid = pid
        self.program = program
        self.begun = begun
        self.report: Report | None = None
        self._read, self.notes = pipe
        self._heard = b""
        self._most = _MOST_BEFORE
        self._heeds = False
        self._console_max = console_max
        self._grace_s, self._signal, self._timeout_s = stop
        # When the process is killed, asked to end as it is, and when it is asked to although nobody
        # has said so; 0.0 for never.
        self._deadline = 0.0
        self._times_out = monotonic() + self._timeout_s if self._timeout_s else 0.0
        self._asked = self._timed_out = False
        self._was_late = False
        # Signals that wait for the program's start.
        self._for_program: list[int] = []
        self._passt: Passt | None = None
        # Descriptors by the names that the plan has for them.
        self.given: dict[str, int] = {}

    @property
    def is_mine(self) -> bool:
        """Tell whether this is the VM's process."""
        return not self.pid

    def join(self, passt: Passt) -> None:
        """Take PASST's socket in the VM's process, and care for PASST in the one above."""
        if self.is_mine:
            self.given[passt.name] = passt.socket
        else:
            passt.part()
            self._passt = passt

    def heed(self, operations: int, files: int) -> None:
        """Read what the VM's process notes as it comes, in the process above, where so many
        OPERATIONS and FILES may make more of that than a pipe holds: else it is read at the end."""
        notes = _SHORT * operations + _LONG * files
        if not self.is_mine and notes > libc.fcntl(self._read, _GETPIPE_SZ, 0) // 4:
            from krunc_launcher.supervise.wake import wake

            wake(self._read)
            self._heeds = True
            self._said()  # it may be waiting already

    def lost(self, pid: int, code: int) -> None:
        """Note that the process PID, which may be of this VM, has ended with CODE."""
        if self._passt is not None:
            self._passt.lost(pid, code)

    def tell(self) -> str:
        """Tell what has ended before the VM; empty where nothing has."""
        return "" if self._passt is None else self._passt.tell()

    def send(self, number: int) -> None:
        """Pass the signal NUMBER on. A SIGTERM starts the grace time, a second one ends it: kept
        here, for a process that a guest has broken out of keeps none."""
        first = not self._asked
        if number == SIGTERM:
            left = self._grace_s + _SPARE_S if first else _SPARE_S
            self._deadline = min(self._deadline or float("inf"), monotonic() + left)
            self._asked = True
        if self.report is not None and number in _FOR_PROGRAMS:
            self._tell(number)
        elif self.report is not None and number == SIGTERM and first and self._signal:
            # Nobody but this process ends the VM then: it waits no longer than it says.
            self._deadline -= _SPARE_S
            self._tell(self._signal)
        else:
            _kill(self.pid, number)

    def _tell(self, number: int) -> None:
        """Have the stage send NUMBER to the program, as soon as there is one."""
        if self.report is None or self.report.started is None:
            self._for_program.append(number)
        else:
            self.report.signal(number)

    def hear(self) -> None:
        """Take what the stage has said, and the VM's process."""
        if self._heeds:
            self._said()
        if self.report is not None:
            self.report.look()
            if self.report.started is not None:
                while self._for_program:
                    self.report.signal(self._for_program.pop(0))

    def next_s(self) -> float | None:
        """Tell when there is something to do for it, from now on; None for never."""
        tells_at = self._passt.tells_at if self._passt is not None else 0.0
        times = [self._deadline, self._times_out, tells_at]
        return min((time - monotonic() for time in times if time), default=None)

    def end_when_late(self) -> None:
        """Ask the guest to stop when its time is over, and kill the process when it has not ended
        in the grace time."""
        now = monotonic()
        if self._times_out and now >= self._times_out:
            self._times_out = 0.0
            if not self._asked:
                self._timed_out = True
                self.send(SIGTERM)
        elif self._deadline and now >= self._deadline:
            self._was_late = True
            self._deadline = 0.0
            _kill(self.pid, SIGKILL)

    def ended(self, code: int, asked: frozenset[int]) -> End:
        """Tell how it ended, from what waitpid says and the signals that were passed on."""
        # Here, for the VM's process has no use for it.
        from krunc_launcher.supervise.end import explain, timed_out

        said = self._said()
        system.close(self._read)
        if self._passt is not None:
            self._passt.end()
        entered = next((word for word in said if word.startswith("enter ")), "")
        late = self._grace_s if self._was_late else None
        end = explain(code, said, bool(entered), self.program.seen, asked, late)
        end.program_seen = self.program.seen if entered else False
        if self.report is not None:
            from krunc_launcher.supervise.staged_end import told

            self.report.end()
            told(end, self.report, bool(entered))
            if self.report.started is not None:
                end.started_s = self.report.started - self.begun
        elif end.reason == "exited" and not end.status and self.program.lost:
            why = self.program.lost
            end.words = (f"whether the guest's program was started is unknown: {why}",)
        if self._timed_out and end.reason != "not_started":
            timed_out(end, self._timeout_s)
        now = monotonic()
        end.start_s = (float(entered[6:]) if entered else now) - self.begun
        end.run_s = now - float(entered[6:]) if entered else None
        return end

    def _said(self) -> list[str]:
        try:
            while len(self._heard) < self._most and (more := system.read(self._read, _MOST_BEHIND)):
                self._heard += more
                # From here on a guest that broke out may be who speaks, without end.
                new = max(0, len(self._heard) - len(more) - len(_ENTERS))
                at = self._heard.find(_ENTERS, new) if self._most == _MOST_BEFORE else -1
                if at >= 0:
                    self._most = at + _MOST_BEHIND
        except BlockingIOError:
            pass  # there is no more yet
        return system.fsdecode(self._heard).split("\0")[:-1]

    def tend(self) -> bool:
        """Keep the files that its consoles write small; whether that was asked for."""
        if self._console_max:
            from krunc_launcher.supervise.console_size import keep

            for word in self._said():
                if word.startswith("enter "):
                    break  # from here on a guest that broke out may be who speaks
                if word.startswith("writes "):
                    keep(word.removeprefix("writes "), self._console_max)
        return bool(self._console_max)


def fork(
    mask: Any, program: Program, console_max: int, stop: tuple[int, int, int], begun: float
) -> Vm:
    """Fork the VM's process off: two processes come back from here. MASK is what `hold` returned;
    see Vm for the others. Raises OSError when there can be no process."""
    pipe = read, write = system.pipe()
    parent = system.getpid()
    try:
        pid = system.fork()
    except OSError:
        system.close(read)
        system.close(write)
        raise
    vm = Vm(pid, pipe, program, console_max, stop, begun)
    program.pid = pid
    if not vm.is_mine:
        system.close(write)
        system.set_blocking(read, False)
        return vm
    system.close(read)
    end_with(parent)
    pthread_sigmask(SIG_SETMASK, mask)
    return vm


def end_with(parent: int) -> None:
    """End this process from now on when its PARENT ends, which forked it."""
    if sys.platform == "linux":
        libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if system.getppid() != parent:
        system._exit(NOT_STARTED)


def _kill(pid: int, number: int) -> None:
    try:
        system.kill(pid, number)
    except PermissionError:
        pass  # it has become another user, which only root makes it


def die_with_parent() -> None:
    """End this process, and so the VMs below it, when the process that started it ends."""
    parent = system.getppid()
    if libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0):
        raise LaunchError(f"--die-with-parent: {system.strerror(ffi.errno).lower()}")
    if system.getppid() != parent:
        system._exit(NOT_STARTED)


def hold() -> Any:
    """Keep the signals that are waited for; returns the mask from before, for `fork`. What who
    started the launcher has it ignore (nohup, a script's &) is ignored: held, it would come."""
    for own in (SIGCHLD, SIGIO):  # ignored, the first would take the exit status away
        signal(own, SIG_DFL)
    return pthread_sigmask(SIG_BLOCK, [one for one in WAITED_FOR if getsignal(one) != SIG_IGN])
