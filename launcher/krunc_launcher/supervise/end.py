"""How a VM's process ended, and what a person is told of it."""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIGABRT,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGKILL,
    SIGSEGV,
    SIGSYS,
    SIGTRAP,
)

from krunc_launcher import system
from krunc_launcher.errors import NOT_STARTED, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CRASHES = {
    SIGABRT: "SIGABRT",
    SIGBUS: "SIGBUS",
    SIGFPE: "SIGFPE",
    SIGILL: "SIGILL",
    SIGSEGV: "SIGSEGV",
    SIGSYS: "SIGSYS",
    SIGTRAP: "SIGTRAP",
}
# In the words of an end: where the guest's console and libkrun's log are, which `place` tells.
CONSOLE, LOG = "\0console", "\0log"
TIMED_OUT = 124  # as timeout(1) has it
_RETURNED = "returned "
_SAID = "said "
_CALL = "call "
_FILTERED = (
    "a filter of system calls around the launcher ended the VM's process (SIGSYS): allow it what "
    "confinement takes, which is @sandbox in SystemCallFilter= of a systemd unit"
)
_NEVER_RAN = (
    "the guest ended before its program was started: its kernel panicked or gave up, which libkrun "
    f"reports as success; what the kernel said is {CONSOLE}"
)


class End:
    """How a VM's process ended. `reason` is not_started, exited, guest_kernel, crashed, killed,
    timeout or signal; `status` what the launcher ends with, or minus a signal that it ends itself
    by; `said` whether `words` were said already; `program_seen` whether the guest started its
    program, None where that cannot be told."""

    __slots__ = (
        "ended_by", "program_seen", "reason", "run_s", "said", "signal", "start_s", "started_s",
        "status", "words",
    )  # fmt: skip

    def __init__(
        self, reason: str, status: int, words: Iterable[str], number: int = 0, said: bool = False
    ) -> None:
        self.reason = reason
        self.status = status
        self.words = tuple(words)
        self.signal = number
        self.said = said
        self.program_seen: bool | None = False if reason == "not_started" else None
        self.start_s = 0.0
        self.run_s: float | None = None
        # What the stage says: how the program ended, and when it started.
        self.ended_by = ""
        self.started_s: float | None = None

    def place(self, directory: str, name: str) -> None:
        """Tell in the words where the output of the VM called NAME is: in DIRECTORY, or where the
        launcher's own is, without one."""
        console, log = "on the console", "on standard error"
        if directory:
            stem = f"{plain(directory)}/{plain(name)}"
            console, log = f"in {stem}.out", f"in {stem}.err"
            if self.said:
                self.words += (f"see {stem}.err",)
        self.words = tuple(word.replace(CONSOLE, console).replace(LOG, log) for word in self.words)

    def exit_status(self) -> int:
        """Return the status as a shell tells it: 128 and the number for a signal."""
        return 128 - self.status if self.status < 0 else self.status


def timed_out(end: End, seconds: int) -> None:
    """Tell that END is that of a VM whose time was over, SECONDS after its launch."""
    end.reason = "timeout"
    end.status = TIMED_OUT
    end.words = (f"the VM ran for {seconds} s, its timeout, and was ended", *end.words)


def explain(
    code: int,
    notes: list[str],
    entered: bool,
    seen: bool | None,
    asked: frozenset[int],
    late: int | None,
) -> End:
    """Explain the end that waitpid tells as CODE. NOTES is what the process said of itself, ENTERED
    whether libkrun entered the VM, SEEN whether the guest's program was opened, None where nobody
    knows, ASKED the signals that were passed on, LATE the grace time after which it was killed."""
    if system.WIFEXITED(code):
        status = system.WEXITSTATUS(code)
        back = next((word for word in notes if word.startswith(_RETURNED)), None)
        if back is not None:
            from krunc_launcher.supervise.not_entered import reasons

            return End("not_started", status, reasons(back.removeprefix(_RETURNED)))
        if not entered:
            told = [word.removeprefix(_SAID) for word in notes if word.startswith(_SAID)]
            return End("not_started", status, told, said=True)
        if status == 0 and seen is False:
            return End("guest_kernel", NOT_STARTED, [_NEVER_RAN])
        return End("exited", status, ())
    number = system.WTERMSIG(code)
    if number == SIGSYS and not entered:
        return End("not_started", NOT_STARTED, [_FILTERED], number)
    if number == SIGKILL and late is not None:
        words = (
            f"the VM's process did not end within {late} s of SIGTERM, or after a second one, and "
            "was killed"
        )
        return End("killed", 128 + SIGKILL, [words], number)
    if number in _CRASHES:
        calls = [word.removeprefix(_CALL) for word in notes if word.startswith(_CALL)]
        doing = calls[-1] if calls and not entered else ""
        when = "while the VM ran" if entered else f"in {doing}" if doing else "before the VM ran"
        words = (
            f"libkrun crashed {when}: {_CRASHES[number]} ended the VM's process; what libkrun said "
            f"of it is {LOG}"
        )
        return End("crashed", NOT_STARTED, [words], number)
    if number == SIGKILL and SIGKILL not in asked:
        words = "the VM's process was killed (SIGKILL): by the host for want of memory, or by hand"
        return End("killed", 128 + SIGKILL, [words], number)
    return End("signal", -number, (), number)
