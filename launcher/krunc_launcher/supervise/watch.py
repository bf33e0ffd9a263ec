"""The process above the VM's: it passes signals on, and tells how the VM ended.

libkrun ends its process itself: with status 0 when the guest's kernel panics, by SIGABRT when its
Rust code panics. Only another process can make a message and an exit status of that. It forks the
VM's process off when the plan and the host are checked; what the plan names is opened only there.
"""

from __future__ import annotations

import os
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_SETMASK,
    SIGABRT,
    SIGBUS,
    SIGCHLD,
    SIGCONT,
    SIGFPE,
    SIGHUP,
    SIGILL,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGSEGV,
    SIGSYS,
    SIGTERM,
    SIGTRAP,
    SIGUSR1,
    SIGUSR2,
    pthread_sigmask,
    signal,
    sigtimedwait,
    sigwaitinfo,
)
from time import monotonic

from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

FAILED = 125
_CRASHES = {
    SIGABRT: "SIGABRT",
    SIGBUS: "SIGBUS",
    SIGFPE: "SIGFPE",
    SIGILL: "SIGILL",
    SIGSEGV: "SIGSEGV",
    SIGSYS: "SIGSYS",
    SIGTRAP: "SIGTRAP",
}
_PASSED_ON = (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT)
_WAITED_FOR = (*_PASSED_ON, SIGINT, SIGCHLD)
_SET_PDEATHSIG = 1  # linux/prctl.h
_NONBLOCK_CLOEXEC = 0o2004000  # IN_NONBLOCK | IN_CLOEXEC of sys/inotify.h
_IN_OPEN = 0x20  # sys/inotify.h
_MOST_NOTES = 1 << 16
_TEND_S = 1.0


class End:
    """How a VM's process ended. `reason` is not_started, exited, guest_kernel, crashed, killed or
    signal; `status` what the launcher ends with, or minus a signal that it ends itself by."""

    __slots__ = ("reason", "run_s", "signal", "start_s", "status", "words")

    def __init__(self, reason: str, status: int, words: Iterable[str], number: int = 0) -> None:
        self.reason = reason
        self.status = status
        self.words = tuple(words)
        self.signal = number
        self.start_s = 0.0
        self.run_s: float | None = None


class Vm:
    """A process that becomes the VM's. In it, `pid` is 0. CONSOLE_MOST is how many bytes a file
    that a console writes may take, 0 for no limit; the launch has BEGUN then (monotonic)."""

    __slots__ = ("_heard", "_marks", "_most", "_notes", "_write", "begun", "pid")

    def __init__(self, console_most: int, begun: float) -> None:
        self.begun = begun
        self._heard = b""
        self._most = console_most
        # What the process says of itself, and what the kernel says of the files that it opens.
        self._notes, self._write = os.pipe()
        linux = sys.platform == "linux"
        self._marks = int(libc.inotify_init1(_NONBLOCK_CLOEXEC)) if linux else -1
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid:
            os.close(self._write)
            os.set_blocking(self._notes, False)
            return
        os.close(self._notes)
        if linux:
            libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(FAILED)

    def note(self, word: str) -> None:
        """From the VM's process: tell what it is about to do."""
        os.write(self._write, os.fsencode(f"{word}\0"))

    def mark(self, program: str) -> None:
        """From the VM's process: the guest has started when libkrun opens PROGRAM for it."""
        name = os.fsencode(program)
        if self._marks >= 0 and libc.inotify_add_watch(self._marks, name, _IN_OPEN) >= 0:
            self.note("marked")

    def channels(self) -> tuple[int, ...]:
        """The descriptors that the VM's process keeps for this."""
        return (self._write,)

    def ended(self, code: int, asked: frozenset[int]) -> End:
        """How it ended, from what waitpid says and the signals that were passed on."""
        notes = self._said()
        opened = self._marks >= 0 and _readable(self._marks)
        for descriptor in (self._notes, self._marks):
            if descriptor >= 0:
                os.close(descriptor)
        entered = next((word for word in notes if word.startswith("enter ")), "")
        unseen = "marked" in notes and not opened
        end = _explained(code, notes, bool(entered), unseen, asked)
        now = monotonic()
        end.start_s = (float(entered[6:]) if entered else now) - self.begun
        end.run_s = now - float(entered[6:]) if entered else None
        return end

    def _said(self) -> list[str]:
        try:
            while len(self._heard) < _MOST_NOTES and (more := os.read(self._notes, _MOST_NOTES)):
                self._heard += more
        except BlockingIOError:
            pass  # there is no more yet
        return os.fsdecode(self._heard).split("\0")[:-1]

    def tend(self) -> bool:
        """Keep the files that its consoles write small; whether that was asked for."""
        if self._most:
            from krunc_launcher.supervise.console_size import keep

            for word in self._said():
                if word.startswith("enter "):
                    break  # from here on a guest that broke out may be who speaks
                if word.startswith("writes "):
                    keep(word.removeprefix("writes "), self._most)
        return bool(self._most)


def _readable(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 4096))
    except OSError:
        return False


def _explained(
    code: int, notes: list[str], entered: bool, unseen: bool, asked: frozenset[int]
) -> End:
    if os.WIFEXITED(code):
        status = os.WEXITSTATUS(code)
        back = next((word for word in notes if word.startswith(_RETURNED)), None)
        if back is not None:
            from krunc_launcher.supervise.not_entered import reasons

            return End("not_started", status, reasons(back.removeprefix(_RETURNED)))
        if not entered:
            return End("not_started", status, ())
        if status == 0 and unseen:
            return End("guest_kernel", FAILED, [_NEVER_RAN])
        return End("exited", status, ())
    number = os.WTERMSIG(code)
    if number in _CRASHES:
        doing = notes[-1].partition(" ")[2] if notes and not entered else ""
        when = "while the VM ran" if entered else f"in {doing}" if doing else "before the VM ran"
        words = (
            f"libkrun crashed {when}: {_CRASHES[number]} ended the VM's process; what libkrun said "
            "of it stands above"
        )
        return End("crashed", FAILED, [words], number)
    if number == SIGKILL and SIGKILL not in asked:
        words = "the VM's process was killed (SIGKILL): by the host for want of memory, or by hand"
        return End("killed", 128 + SIGKILL, [words], number)
    return End("signal", -number, (), number)


_RETURNED = "returned "
_NEVER_RAN = (
    "the guest ended before its program was started: its kernel panicked or gave up, which libkrun "
    "reports as success; what the kernel said is on the console"
)


def die_with_parent() -> None:
    """End this process, and so the VMs below it, when the process that started it ends."""
    parent = os.getppid()
    if libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0):
        raise LaunchError(f"--die-with-parent: {os.strerror(ffi.errno).lower()}")
    if os.getppid() != parent:
        os._exit(FAILED)


def hold() -> Any:
    """Keep the signals that a watcher waits for; returns the mask for the VM's process."""
    signal(SIGCHLD, SIG_DFL)  # ignored, it would take the exit status away
    return pthread_sigmask(SIG_BLOCK, _WAITED_FOR)


def release(mask: Any) -> None:
    """In the VM's process: take signals as before."""
    pthread_sigmask(SIG_SETMASK, mask)


class Terminal:
    """The terminal on standard input, as it was before a VM made it raw; and the standard streams,
    which libkrun makes non-blocking for everybody who shares them."""

    def __init__(self) -> None:
        self._blocking = [stream for stream in (0, 1, 2) if os.get_blocking(stream)]
        self._attributes: Any = None
        if os.isatty(0):
            from termios import tcgetattr

            self._attributes = tcgetattr(0)

    def restore(self) -> None:
        """Bring them back, the terminal also from the background."""
        for stream in self._blocking:
            os.set_blocking(stream, True)
        if self._attributes is not None:
            from _signal import SIG_IGN, SIGTTOU
            from termios import TCSADRAIN, error, tcsetattr

            before = signal(SIGTTOU, SIG_IGN)
            try:
                tcsetattr(0, TCSADRAIN, self._attributes)
            except error:
                pass  # it was closed
            signal(SIGTTOU, before)


class Watcher:
    """Waits for VMs, and passes on to all of them the signals that come meanwhile."""

    __slots__ = ("_asked", "_vms")

    def __init__(self, vms: list[Vm]) -> None:
        self._vms = {vm.pid: vm for vm in vms}
        self._asked: set[int] = set()

    def next(self) -> tuple[Vm, End]:
        """The next VM that ends, and how."""
        while True:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if pid in self._vms:
                vm = self._vms.pop(pid)
                return vm, vm.ended(code, frozenset(self._asked))
            if pid:
                continue
            tended = [vm.tend() for vm in self._vms.values()]
            if any(tended):
                told = sigtimedwait(_WAITED_FOR, _TEND_S)
                if told is None:
                    continue
            else:
                told = sigwaitinfo(_WAITED_FOR)
            # A Ctrl-C of the terminal reaches the VM's process by itself: nobody sent it.
            if told.si_signo == SIGCHLD or (told.si_signo == SIGINT and not told.si_pid):
                continue
            self._asked.add(told.si_signo)
            for running in self._vms:
                os.kill(running, told.si_signo)


def end_by(number: int) -> None:
    """End this process by the signal that ended its VM, so that who waits for it sees that."""
    if number != SIGKILL:
        signal(number, SIG_DFL)
    pthread_sigmask(SIG_SETMASK, ())
    os.kill(os.getpid(), number)
