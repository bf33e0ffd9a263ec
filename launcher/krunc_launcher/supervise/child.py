"""The VM's process, forked off by the process above it when the plan and the host are checked."""

from __future__ import annotations

import os
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
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
    pthread_sigmask,
    signal,
)
from time import monotonic

from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import NOT_STARTED, LaunchError
from krunc_launcher.supervise.end import explain
from krunc_launcher.vm.notes import Notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.supervise.end import End
    from krunc_launcher.supervise.passt import Passt
    from krunc_launcher.supervise.programs import Program

_PASSED_ON = (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT)
WAITED_FOR = (*_PASSED_ON, SIGINT, SIGCHLD, SIGIO)
_SET_PDEATHSIG = 1  # linux/prctl.h
# So much longer than the VM's process itself the process above waits, for that one may still tell
# how the guest ended.
_SPARE_S = 2.0
_MOST_NOTES = 1 << 16


class Vm:
    """A process that becomes the VM's: `is_mine` there, `pid` for the process above. A file that a
    console writes may take CONSOLE_MAX bytes, 0 for no limit; GRACE_S is the time that a SIGTERM
    leaves the guest. The launch has BEGUN then (monotonic)."""

    __slots__ = (
        "_console_max", "_grace_s", "_heard", "_passt", "_read", "_was_late", "begun", "deadline",
        "given", "notes", "pid", "program",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        pipe: tuple[int, int],
        program: Program,
        console_max: int,
        grace_s: int,
        begun: float,
    ) -> None:
        self.pid = pid
        self.program = program
        self.begun = begun
        # When the process is killed, asked to end as it is; 0.0 for never.
        self.deadline = 0.0
        self._read, write = pipe
        self.notes = Notes(write)
        self._heard = b""
        self._console_max = console_max
        self._grace_s = grace_s
        self._was_late = False
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
            os.close(passt.socket)
            self._passt = passt

    def lost(self, pid: int, code: int) -> None:
        """Note that the process PID, which may be of this VM, has ended with CODE."""
        if self._passt is not None:
            self._passt.lost(pid, code)

    def tell(self) -> str:
        """Tell what has ended before the VM; empty where nothing has."""
        return "" if self._passt is None else self._passt.tell()

    def next_s(self) -> float | None:
        """Tell when there is something to do for it, from now on; None for never."""
        times = [self.deadline, self._passt.tells_at if self._passt is not None else 0.0]
        return min((time - monotonic() for time in times if time), default=None)

    def send(self, number: int) -> None:
        """Pass the signal NUMBER on. A SIGTERM starts the grace time, a second one ends it: kept
        here, for a process that a guest has broken out of keeps none."""
        if number == SIGTERM:
            left = _SPARE_S if self.deadline else self._grace_s + _SPARE_S
            self.deadline = min(self.deadline or float("inf"), monotonic() + left)
        _kill(self.pid, number)

    def end_when_late(self) -> None:
        """Kill the process when it has not ended in its time."""
        if self.deadline and monotonic() >= self.deadline:
            self._was_late = True
            self.deadline = 0.0
            _kill(self.pid, SIGKILL)

    def ended(self, code: int, asked: frozenset[int]) -> End:
        """Tell how it ended, from what waitpid says and the signals that were passed on."""
        said = self._said()
        os.close(self._read)
        if self._passt is not None:
            self._passt.end()
        entered = next((word for word in said if word.startswith("enter ")), "")
        late = self._grace_s if self._was_late else None
        end = explain(code, said, bool(entered), self.program.seen, asked, late)
        if end.reason == "exited" and not end.status and self.program.lost:
            why = self.program.lost
            end.words = (f"whether the guest's program was started cannot be told: {why}",)
        now = monotonic()
        end.start_s = (float(entered[6:]) if entered else now) - self.begun
        end.run_s = now - float(entered[6:]) if entered else None
        return end

    def _said(self) -> list[str]:
        try:
            while len(self._heard) < _MOST_NOTES and (more := os.read(self._read, _MOST_NOTES)):
                self._heard += more
        except BlockingIOError:
            pass  # there is no more yet
        return os.fsdecode(self._heard).split("\0")[:-1]

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


def fork(mask: Any, program: Program, console_max: int, grace_s: int, begun: float) -> Vm:
    """Fork the VM's process off: two processes come back from here. MASK is what `hold` returned;
    see Vm for the others. Raises OSError when there can be no process."""
    pipe = read, write = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    vm = Vm(pid, pipe, program, console_max, grace_s, begun)
    program.pid = pid
    if not vm.is_mine:
        os.close(write)
        os.set_blocking(read, False)
        return vm
    os.close(read)
    if sys.platform == "linux":
        libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(NOT_STARTED)
    pthread_sigmask(SIG_SETMASK, mask)
    return vm


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except PermissionError:
        pass  # it has become another user, which only root makes it


def die_with_parent() -> None:
    """End this process, and so the VMs below it, when the process that started it ends."""
    parent = os.getppid()
    if libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0):
        raise LaunchError(f"--die-with-parent: {os.strerror(ffi.errno).lower()}")
    if os.getppid() != parent:
        os._exit(NOT_STARTED)


def hold() -> Any:
    """Keep the signals that are waited for; returns the mask from before, for `fork`."""
    signal(SIGCHLD, SIG_DFL)  # ignored, it would take the exit status away
    return pthread_sigmask(SIG_BLOCK, WAITED_FOR)
