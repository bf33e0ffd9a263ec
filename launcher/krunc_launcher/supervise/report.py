"""What the stage of a guest tells, over a Unix socket of the launch's own: that the program has
started, and how it ended. Signals for the program go the other way.

Only the first connection is taken, which the stage makes before it starts anything. What comes
over it is read as the words of a guest that may be hostile: it can lie about itself alone.
"""

from __future__ import annotations

from time import monotonic

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import MEANT
from krunc_launcher._stage_rules import STAGE
from krunc_launcher.errors import LaunchError, asked_by, plain
from krunc_launcher.host.runtime import runtime_directory
from krunc_launcher.paths import absolute
from krunc_launcher.supervise.launch_directory import LaunchDirectory, remove_dead
from krunc_launcher.supervise.wake import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.paths import Directories

# linux/un.h, linux/net.h, asm-generic/socket.h
_UNIX, _STREAM, _CLOEXEC, _NONBLOCK = 1, 1, 0o2000000, 0o4000
_SOCKADDR = 110
# More than a stage ever says. Beyond it nobody listens: a guest that never stops would hold up the
# launcher, and with it the timeout and all other VMs.
_MOST_BYTES = 4096
_MOST_NUMBER = 65535
_MOST_SHOWN = 256
_ENDS = ("exit", "signal", "poweroff", "reboot", "lost")


class Report:
    """The launch's own directory, the socket in it, and what the stage has said: when the program
    `started` (monotonic), as what it `ended` (a word and a number), which order `failed` (its
    number, the step, and a number of the system or of the script's end)."""

    __slots__ = (
        "_connection", "_directory", "_heard", "_left", "_listening", "_orders", "ended",
        "failed", "orders", "started",
    )  # fmt: skip

    def __init__(self, rows: list[dict[str, Any]], directories: Directories) -> None:
        """Make both, for a plan of the operations ROWS; raises LaunchError."""
        self.orders = [_shown(row) for row in rows if "order" in row]
        self.started: float | None = None
        self.ended: tuple[str, int] | None = None
        self.failed: tuple[int, str, int] | None = None
        self._connection = -1
        self._heard = b""
        self._left = _MOST_BYTES
        self._orders = absolute(STAGE["root"] + STAGE["program"][1], directories)
        problems = list(runtime_directory(directories))
        if problems:
            raise LaunchError(*problems)
        users = set(_meant(rows, "uid"))
        group = next(_meant(rows, "gid"), None) if users else None
        self._directory = LaunchDirectory(directories.launch, group)
        remove_dead(directories.runtime, {system.geteuid(), *users})
        try:
            self._listening = _listen(absolute(STAGE["socket"], directories))
        except LaunchError:
            self._directory.remove()
            raise

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
                case ["failed", _, step, _] if step in STAGE["steps"] and len(numbers) == 2:
                    self.failed = numbers[0], step, numbers[1]
            return
        match words:
            case ["poweroff" | "reboot" as word]:
                self.ended = word, 0
            case [word, _] if word in _ENDS and len(numbers) == 1 and numbers[0] < 256:
                self.ended = word, numbers[0]

    def signal(self, number: int) -> None:
        """Have the stage send the signal NUMBER to the program; nothing where that has ended."""
        if self._connection >= 0:
            try:
                system.write(self._connection, b"signal %d\n" % number)
            except OSError:
                pass  # it ends now

    def _forget_orders(self) -> None:
        """Remove the orders, which may have secrets in them: the stage has read them."""
        try:
            system.unlink(self._orders)
        except OSError:
            pass  # the guest was quicker, where it may write there

    def end(self) -> None:
        """Take the last words, and remove the launch's directory: the VM has ended."""
        self.look()
        for handle in (self._listening, self._connection):
            if handle >= 0:
                system.close(handle)
        self._listening = self._connection = -1
        self._directory.remove()


def _meant(rows: list[dict[str, Any]], what: str) -> Iterator[int]:
    """Yield the "uid" or "gid", which is WHAT, that the operations ROWS give the VM's process."""
    for row in rows:
        if row.get("call") in MEANT[what]:
            yield row["args"][MEANT[what][row["call"]]]


def _shown(row: dict[str, Any]) -> str:
    """Tell a person which order ROW is: its name, what it is about, and the key of the box."""
    about = next((text for text in row["args"].values() if type(text) is str), "")
    subject = f" {plain(about)}" if about and len(about) < _MOST_SHOWN else ""
    return f"{row['order']}{subject}{asked_by(row['from'])}"


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 6 and int(word) <= _MOST_NUMBER


def _listen(path: str) -> int:
    name = system.fsencode(path)
    handle = int(libc.socket(_UNIX, _STREAM | _CLOEXEC | _NONBLOCK, 0))
    address = ffi.new("uint8_t[]", _UNIX.to_bytes(2, "little") + name + b"\0")
    if handle < 0 or len(name) + 3 > _SOCKADDR:
        raise LaunchError(
            f"there is no socket for the stage: {plain(path)}: choose a shorter --runtime-dir"
        )
    if libc.bind(handle, address, len(name) + 3) or libc.listen(handle, 1):
        raise LaunchError(f"there is no socket for the stage: {system.strerror(ffi.errno).lower()}")
    wake(handle)
    return handle
