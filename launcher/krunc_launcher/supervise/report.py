"""What the stage of a guest tells, over a Unix socket of the launch's own: that the program has
started, and how it ended. Signals for the program go the other way.

Only the first connection is taken, which the stage makes before it starts anything. What comes
over it is read as the words of a guest that may be hostile: it can lie about itself alone.
"""

from __future__ import annotations

from time import monotonic

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._stage_rules import STAGE
from krunc_launcher.messages import say
from krunc_launcher.supervise.launch_directory import given
from krunc_launcher.supervise.removal import opened_to_change, remove, remove_dead
from krunc_launcher.supervise.wake import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.paths import Directories

_CLOEXEC, _NONBLOCK = 0o2000000, 0o4000  # linux/net.h
# More than a stage ever says. Beyond it nobody listens: a guest that never stops would hold up the
# launcher, and with it the timeout and all other VMs.
_MOST_BYTES = 4096
_MOST_NUMBER = 65535
# What the number behind each of these can be: an exit code, or a signal of Linux (signal(7)).
_ENDS = {"exit": range(256), "signal": range(1, 65), "lost": range(256)}


class Report:
    """What the stage has said: when the program `started` (monotonic), as what it `ended` (a word
    and a number), which of the plan's `orders` `failed` (its number, the step, and a number of the
    system or of the script's end). It has the launch's own directory, and removes it."""

    __slots__ = (
        "_connection", "_heard", "_launch", "_left", "_listening", "_lock", "ended", "failed",
        "orders", "started",
    )  # fmt: skip

    def __init__(
        self, rows: list[dict[str, Any]], directories: Directories, lock: int, listening: int
    ) -> None:
        """Listen, for a plan of the operations ROWS, with what `prepare` has made. The VM's process
        has been forked off: it waits for nothing that is done here."""
        self.orders = [row for row in rows if "order" in row]
        self.started: float | None = None
        self.ended: tuple[str, int] | None = None
        self.failed: tuple[int, str, int] | None = None
        self._connection = -1
        self._heard = b""
        self._left = _MOST_BYTES
        self._launch, self._lock, self._listening = directories.launch, lock, listening
        wake(listening)
        self.look()  # what came before it says no more
        users = given(rows, "uid")
        told = remove_dead(directories.runtime, {system.geteuid(), *users})
        say(f"warning: of a launch that was killed, {one}" for one in told)

    def look(self) -> None:
        """Take what the stage has said since."""
        if self._listening >= 0:
            taken = int(libc.accept4(self._listening, ffi.NULL, ffi.NULL, _CLOEXEC | _NONBLOCK))
            if taken < 0:
                return
            system.close(self._listening)
            self._listening = -1
            self._connection = taken
            wake(taken)
        while self._connection >= 0:
            try:
                more = system.read(self._connection, self._left)
            except BlockingIOError:
                return
            except OSError:
                more = b""
            self._hear(more)
            self._left -= len(more)
            if not more or not self._left or self.ended is not None or self.failed is not None:
                # The stage waits for this before it ends.
                system.close(self._connection)
                self._connection = -1

    def _hear(self, more: bytes) -> None:
        *lines, self._heard = (self._heard + more).split(b"\n")
        for line in lines:
            self._line(line.decode("ascii", "replace").split(" "))

    def _line(self, words: list[str]) -> None:
        if self.ended is not None or self.failed is not None:
            return
        numbers = [int(word) for word in words[1:] if _is_number(word)]
        if self.started is None:
            match words:
                case ["started"]:
                    self.started = monotonic()
                    self._forget_orders()
                case ["failed", _, step, _] if len(numbers) == 2 and _can_fail(step):
                    self.failed = numbers[0], step, numbers[1]
            return
        match words:
            case ["poweroff" | "reboot" as word]:
                self.ended = word, 0
            case [word, _] if len(numbers) == 1 and numbers[0] in _ENDS.get(word, ()):
                self.ended = word, numbers[0]

    def signal(self, number: int) -> None:
        """Have the stage send the signal NUMBER to the program; nothing where that has ended."""
        if self._connection >= 0:
            try:
                system.write(self._connection, b"signal %d\n" % number)
            except OSError:
                pass  # it ends now

    def _forget_orders(self) -> None:
        """Remove the orders, which may have secrets in them: the stage has read them. Where the
        guest or its user may write, it may have put anything in the place of their directory."""
        root = opened_to_change(STAGE["root"].partition(":")[2], self._lock)
        if root < 0:
            return
        try:
            system.unlink(STAGE["program"][1].strip("/"), dir_fd=root)
        except OSError:
            pass  # the guest was quicker
        system.close(root)

    def end(self) -> None:
        """Take the last words, and remove the launch's directory: the VM has ended."""
        self.look()
        for handle in (self._listening, self._connection):
            if handle >= 0:
                system.close(handle)
        self._listening = self._connection = -1
        say(f"warning: of the launch, {one}" for one in remove(self._launch, self._lock))


def _can_fail(step: str) -> bool:
    from krunc_launcher._rare_rules import FAILURES

    return step in FAILURES


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 6 and int(word) <= _MOST_NUMBER
