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

_PASSED_ON = (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT)
WAITED_FOR = (*_PASSED_ON, SIGINT, SIGCHLD)
_SET_PDEATHSIG = 1  # linux/prctl.h
_NONBLOCK_CLOEXEC = 0o2004000  # IN_NONBLOCK | IN_CLOEXEC of sys/inotify.h
_MOST_NOTES = 1 << 16


class Vm:
    """A process that becomes the VM's: `is_mine` there, `pid` for the process above. A file that a
    console writes may take CONSOLE_MAX bytes, 0 for no limit; the launch has BEGUN then."""

    __slots__ = ("_console_max", "_heard", "_read", "begun", "notes", "pid")

    def __init__(self, pid: int, read: int, notes: Notes, console_max: int, begun: float) -> None:
        self.pid = pid
        self.notes = notes
        self.begun = begun
        self._read = read
        self._heard = b""
        self._console_max = console_max

    @property
    def is_mine(self) -> bool:
        """Whether this is the VM's process."""
        return not self.pid

    def ended(self, code: int, asked: frozenset[int]) -> End:
        """How it ended, from what waitpid says and the signals that were passed on."""
        said = self._said()
        marks = self.notes.marks
        opened = marks >= 0 and _readable(marks)
        for descriptor in (self._read, marks):
            if descriptor >= 0:
                os.close(descriptor)
        entered = next((word for word in said if word.startswith("enter ")), "")
        unseen = "marked" in said and not opened
        end = explain(code, said, bool(entered), unseen, asked)
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


def fork(mask: Any, console_max: int, begun: float) -> Vm:
    """Fork the VM's process off: two processes come back from here. MASK is what `hold` returned;
    see Vm for the others."""
    # What the process says of itself, and what the kernel says of the files that it opens.
    read, write = os.pipe()
    linux = sys.platform == "linux"
    marks = int(libc.inotify_init1(_NONBLOCK_CLOEXEC)) if linux else -1
    parent = os.getpid()
    vm = Vm(os.fork(), read, Notes(write, marks), console_max, begun)
    if not vm.is_mine:
        os.close(write)
        os.set_blocking(read, False)
        return vm
    os.close(read)
    if linux:
        libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(NOT_STARTED)
    pthread_sigmask(SIG_SETMASK, mask)
    return vm


def _readable(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 4096))
    except OSError:
        return False


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
