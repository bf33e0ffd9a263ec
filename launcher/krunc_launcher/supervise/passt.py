"""The passt of a VM: a process beside the VM's, joined to it by a socket that no path leads to.

It confines itself when it has started (namespaces, an empty root, seccomp). It ends when the VM's
process does, for that closes the socket; and with the launcher, whatever it is.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    sigpending,
)
from _socket import socketpair
from select import POLLIN, poll
from time import monotonic, sleep

from krunc_launcher import system
from krunc_launcher.errors import LaunchError, asked_by, plain, why
from krunc_launcher.resolve.passt import command, of, served
from krunc_launcher.supervise import relay
from krunc_launcher.supervise.beside import FIRST, KILLED, child, kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.resolve.operation import Operation

# It answers within 40 ms; an emulated host takes a second.
_PATIENCE_S = 20.0
# How long after its passt a VM's process may end that ended it: a second, under emulation.
_TOGETHER_S = 5.0
# How long after its socket a program may end, and how often is looked for that and for a signal.
_HUNG_UP_S, _LOOK_S = 2.0, 0.05
_ENDING = {SIGHUP, SIGINT, SIGQUIT, SIGTERM}
# The largest frame that it sends has 64 KiB and the heads before them.
_MOST_FRAME = 1 << 17
_MOST_SAID = 500
# As much as a pipe holds, in pieces of 4096 bytes: more is of who writes without end.
_MOST_READ = 16
# What it says of a host without a system log, which it does not need.
_NOISE = ("Failed to send ", "Don't run as root")
_ARP, _REQUEST, _REPLY = b"\x08\x06", b"\x00\x01\x08\x00\x06\x04\x00\x01", b"\x00\x02"
_HEAD = 4  # the length before each frame, in network order

# By words of passt: what to do.
_ADVICE = (
    ("user namespace", "it confines itself in one: allow them (kernel.unprivileged_userns_clone, "
     "user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"),
    ("unshare", "it confines itself in namespaces: allow them to the host user"),
    ("xternal interface", "this passt needs a host interface with an IPv4 address and a "
     "default route"),
    ("bind", "a port is in use (ss -ltnup), kept for root (net.ipv4.ip_unprivileged_port_start), "
     "or its address is not this host's"),
    ("nrecognized option", "this passt is too old; krunc needs one of 2023 or newer"),
)  # fmt: skip


class Passt:
    """A running passt. `socket` is the VM's end, -1 where it is closed, under the NAME that the
    plan gives it; `running` are the process of the relay before it, where there is one, and its
    keeper's, each with the signal that ends it. ERRORS is where it says what is wrong."""

    __slots__ = ("_errors", "_said", "_told", "name", "running", "socket", "tells_at")

    def __init__(self, name: str, errors: int) -> None:
        self.name = name
        self.running: dict[int, int] = {}
        self.socket = -1
        self._errors = errors
        self._said = b""
        self._told = ""
        # When there is something to tell; 0.0 for never.
        self.tells_at = 0.0

    def words(self) -> str:
        """Tell what it said, the last words of it, for the end of a sentence."""
        try:
            for _ in range(_MOST_READ):
                self._said = (self._said + system.read(self._errors, 4096))[-4096:]
        except BlockingIOError:
            pass  # it runs
        lines = self._said.decode("utf-8", "replace").splitlines()
        said = "; ".join(line for line in lines if line and not line.startswith(_NOISE))
        return plain(said[-_MOST_SAID:]) or "it says nothing"

    def kill(self) -> None:
        """End what has not ended."""
        for pid, number in self.running.items():
            system.kill(pid, number)
            system.kill(pid, SIGCONT)  # the program may have stopped its keeper
            system.waitpid(pid, 0)
        self.running.clear()

    def part(self) -> None:
        """Close the VM's end of the socket, here."""
        if self.socket >= 0:
            system.close(self.socket)
            self.socket = -1

    def end(self) -> None:
        """End what has not ended, and forget it."""
        self.kill()
        self.part()
        system.close(self._errors)

    def hung_up(self) -> str:
        """Tell how the program ended, whose socket is closed; it need not end for that."""
        deadline = monotonic() + _HUNG_UP_S
        while monotonic() < deadline:
            pid, code = system.waitpid([*self.running][-1], system.WNOHANG)
            if pid:
                del self.running[pid]
                return f"it ended {_how(code)}"
            sleep(_LOOK_S)
        return "it closed its socket"

    def lost(self, pid: int, code: int) -> None:
        """Note that PID has ended with CODE, if it is of these processes."""
        if pid not in self.running:
            return
        # The relay comes first. It ends well only behind the VM or the program, which is told of.
        relayed = self.running.pop(pid) == SIGKILL
        well = system.WIFEXITED(code) and not system.WEXITSTATUS(code)
        if self._told or (well and relayed):
            return
        who = "the relay before passt" if relayed else "passt"
        self._told = f"{who} has ended {_how(code)}, and with it the network of the VM"
        if not relayed and system.WIFSIGNALED(code) and system.WTERMSIG(code) == SIGKILL:
            # Of a program that was killed its keeper tells with a status.
            self._told = (
                "the process above passt was killed (SIGKILL); passt may serve the VM until that "
                "ends"
            )
        # Its socket was closed: the VM's process is about to end, most likely.
        self.tells_at = monotonic() + (_TOGETHER_S if well else 0.0)

    def tell(self) -> str:
        """Tell, once, what has ended before the VM; empty where nothing has."""
        if not self.tells_at or monotonic() < self.tells_at:
            return ""
        self.tells_at = 0.0
        return f"{self._told}: {self.words()}"


def start(done: list[Operation], mask: Any, meanwhile: Callable[[], None]) -> Passt | None:
    """Start the passt of DONE, if it has one, and wait until it serves; do MEANWHILE, often, what
    cannot wait. MASK are the signals that it keeps blocked. Raises LaunchError."""
    step = of(done)
    if step is None:
        return None
    program = step.argument("program")
    try:
        passt = _fork(step, mask)
    except OSError as error:
        raise LaunchError(f"{plain(program)} cannot be started: {why(error)}") from None
    mac = next(value for value in served(done, step).values if isinstance(value, bytes))
    between = step.argument("address"), step.argument("gateway")
    failed = _asked(passt.socket, mac, *between, meanwhile)
    if not failed:
        return passt
    passt.part()
    if failed == _ENDED:
        failed = passt.hung_up()
    passt.kill()  # or it speaks on
    words = passt.words()
    passt.end()
    advice = [text for mark, text in _ADVICE if mark in words]
    origin = step.origin
    raise LaunchError(
        f"{plain(program)} does not serve: {failed}: {words}{asked_by(origin)}", *advice[:1]
    )


def _fork(step: Operation, mask: Any) -> Passt:
    """Start the program of STEP, and a relay before it where that is needed. Raises OSError, and
    leaves nothing then."""
    program = step.argument("program")
    words = ["passt", *command(step, str(FIRST))]  # by its name it tells passt from pasta
    relayed = relay.needed(program, step)
    read, write = system.pipe()
    passt = Passt(step.argument("name"), read)
    handles = [write]
    try:
        system.set_blocking(read, False)
        system.set_blocking(write, False)  # what nobody reads holds no program up
        passt.socket, its = _pair()
        handles.append(its)
        if relayed:
            between, last = _pair()
            handles += between, last
            ends = its, between
            relaying = child(lambda: relay.run(FIRST, FIRST + 1), ends, write, mask)
            passt.running[relaying] = SIGKILL
            its = last
        passt.running[kept(program, words, (its,), write, mask)] = SIGTERM
    except OSError:
        passt.end()
        raise
    finally:
        for handle in handles:
            system.close(handle)
    return passt


def _pair() -> tuple[int, int]:
    one, other = socketpair()
    return one.detach(), other.detach()


_ENDED = "ended"


def _asked(
    socket: int, mac: bytes, address: str, gateway: str, meanwhile: Callable[[], None]
) -> str:
    """Ask the program behind SOCKET for the gateway's MAC, as the guest of MAC and ADDRESS would;
    empty when it answers. It does when it has confined itself and its ports are open."""
    ours, its = (bytes(map(int, one.split("."))) for one in (address, gateway))
    frame = b"\xff" * 6 + mac + _ARP + _REQUEST + mac + ours + bytes(6) + its
    deadline = monotonic() + _PATIENCE_S
    try:
        system.write(socket, len(frame).to_bytes(_HEAD, "big") + frame)
        while True:
            size = int.from_bytes(_read(socket, _HEAD, deadline, meanwhile), "big")
            if size > _MOST_FRAME:
                return "it does not speak as passt does"
            answer = _read(socket, size, deadline, meanwhile)
            # What it sends unasked is not for the guest yet.
            if answer[12:14] == _ARP and answer[20:22] == _REPLY:
                return ""
    except InterruptedError:
        return "a signal ended the launch"
    except TimeoutError:
        return f"there is no answer within {_PATIENCE_S:.0f} s"
    except (ConnectionError, EOFError):
        return _ENDED


def _read(socket: int, size: int, deadline: float, meanwhile: Callable[[], None]) -> bytes:
    """Read SIZE bytes, and do MEANWHILE. Raises EOFError, ConnectionError and TimeoutError, and
    InterruptedError when a signal waits that ends the launch: all of them are blocked here."""
    data = b""
    readable = poll()
    readable.register(socket, POLLIN)
    while len(data) < size:
        if sigpending() & _ENDING:
            raise InterruptedError
        meanwhile()
        left_s = deadline - monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        if not readable.poll(min(left_s, _LOOK_S) * 1000):
            continue
        more = system.read(socket, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _how(code: int) -> str:
    if system.WIFSIGNALED(code):
        return f"by signal {system.WTERMSIG(code)}"
    status = system.WEXITSTATUS(code)
    return f"by signal {int(SIGKILL)}" if status == KILLED else f"with status {status}"
