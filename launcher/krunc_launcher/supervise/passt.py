"""The passt of a VM: a process beside the VM's, joined to it by a socket that no path leads to.

It confines itself when it has started (namespaces, an empty root, seccomp). It ends when the VM's
process does, for that closes the socket; and with the launcher, by SIGKILL.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_SETMASK,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    pthread_sigmask,
    sigpending,
)
from _socket import socketpair
from select import POLLIN, poll
from time import monotonic, sleep

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import NOT_STARTED, LaunchError, asked_by, plain, why
from krunc_launcher.resolve.passt import command, of, served
from krunc_launcher.supervise import relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.resolve.operation import Operation

_SET_PDEATHSIG = 1  # linux/prctl.h
_DUPFD = 0  # asm-generic/fcntl.h
_FIRST = 3  # descriptor behind the standard streams
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
    """A running passt. SOCKET is the VM's end, under the NAME that the plan gives it; RUNNING are
    the process of the relay before it, where there is one, and its own."""

    __slots__ = ("_errors", "_said", "_told", "name", "running", "socket", "tells_at")

    def __init__(self, name: str, running: list[int], socket: int, errors: int) -> None:
        self.name = name
        self.running = running
        self.socket = socket
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
        for pid in self.running:
            system.kill(pid, SIGKILL)
            system.waitpid(pid, 0)
        self.running.clear()

    def end(self) -> None:
        """End what has not ended, and forget it."""
        self.kill()
        system.close(self._errors)

    def hung_up(self) -> str:
        """Tell how the program ended, whose socket is closed; it need not end for that."""
        deadline = monotonic() + _HUNG_UP_S
        while monotonic() < deadline:
            pid, code = system.waitpid(self.running[-1], system.WNOHANG)
            if pid:
                self.running.pop()
                return f"it ended {_how(code)}"
            sleep(_LOOK_S)
        return "it closed its socket"

    def lost(self, pid: int, code: int) -> None:
        """Note that PID has ended with CODE, if it is of these processes."""
        if pid not in self.running:
            return
        # The relay comes first. It ends well only behind the VM or the program, which is told of.
        relayed = len(self.running) > 1 and pid == self.running[0]
        self.running.remove(pid)
        well = system.WIFEXITED(code) and not system.WEXITSTATUS(code)
        if self._told or (well and relayed):
            return
        who = "the relay before passt" if relayed else "passt"
        self._told = f"{who} has ended {_how(code)}, and with it the network of the VM"
        # Its socket was closed: the VM's process is about to end, most likely.
        self.tells_at = monotonic() + (_TOGETHER_S if well else 0.0)

    def tell(self) -> str:
        """Tell, once, what has ended before the VM; empty where nothing has."""
        if not self.tells_at or monotonic() < self.tells_at:
            return ""
        self.tells_at = 0.0
        return f"{self._told}: {self.words()}"


def start(done: list[Operation], mask: Any) -> Passt | None:
    """Start the passt of DONE, if it has one, and wait until it serves. MASK are the signals that
    it keeps blocked. Raises LaunchError."""
    step = of(done)
    if step is None:
        return None
    program = step.argument("program")
    try:
        passt = _fork(step, mask)
    except OSError as error:
        raise LaunchError(f"{plain(program)} cannot be started: {why(error)}") from None
    mac = next(value for value in served(done, step).values if isinstance(value, bytes))
    failed = _asked(passt.socket, mac, step.argument("address"), step.argument("gateway"))
    if not failed:
        return passt
    system.close(passt.socket)
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
    """Start the program of STEP, and a relay before it where that is needed."""
    program = step.argument("program")
    words = ["passt", *command(step, str(_FIRST))]  # by its name it tells passt from pasta
    relayed = relay.needed(program, step)
    read, write = system.pipe()
    system.set_blocking(read, False)
    system.set_blocking(write, False)  # what nobody reads holds no program up
    ours, its = _pair()
    passt = Passt(step.argument("name"), [], ours, read)
    try:
        if relayed:
            between, last = _pair()
            passt.running.append(
                _child(lambda: relay.run(_FIRST, _FIRST + 1), (its, between), write, mask)
            )
            its = last
        passt.running.append(_child(lambda: system.execve(program, words, {}), (its,), write, mask))
    except OSError:
        system.close(ours)
        passt.end()
        raise
    finally:
        system.close(write)
    return passt


def _pair() -> tuple[int, int]:
    one, other = socketpair()
    return one.detach(), other.detach()


def _child(begin: Callable[[], None], ends: tuple[int, ...], errors: int, mask: Any) -> int:
    """Have a process BEGIN that has sockets, the ENDS, from the first descriptor on, ERRORS for
    standard error, and nothing else; the ends are closed here."""
    parent = system.getpid()
    pid = system.fork()
    if pid:
        for end in ends:
            system.close(end)
        return pid
    try:
        _bare(ends, errors, parent)
        pthread_sigmask(SIG_SETMASK, mask)
        begin()
    except OSError as error:
        system.write(2, system.fsencode(why(error)))
    finally:
        system._exit(NOT_STARTED)


def _bare(ends: tuple[int, ...], errors: int, parent: int) -> None:
    """Lose what this process has of its PARENT, with which it ends."""
    libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if system.getppid() != parent:
        system._exit(NOT_STARTED)
    system.setsid()  # a Ctrl-C of the terminal is not for it
    system.chdir("/")
    nothing = system.open(system.DEVNULL, system.O_RDWR)
    given = (nothing, nothing, errors, *ends)
    # Two steps: the number that one gets may be that of another. No number is fixed beyond those,
    # for the limit of open files may be low.
    aside = [int(libc.fcntl(source, _DUPFD, len(given))) for source in given]
    if min(aside) < 0:
        raise OSError(ffi.errno, system.strerror(ffi.errno))
    for target, source in enumerate(aside):
        system.dup2(source, target)
    system.closerange(len(given), 1 << 20)


_ENDED = "ended"


def _asked(socket: int, mac: bytes, address: str, gateway: str) -> str:
    """Ask the program behind SOCKET for the gateway's MAC, as the guest of MAC and ADDRESS would;
    empty when it answers. It does when it has confined itself and its ports are open."""
    ours, its = (bytes(map(int, one.split("."))) for one in (address, gateway))
    frame = b"\xff" * 6 + mac + _ARP + _REQUEST + mac + ours + bytes(6) + its
    deadline = monotonic() + _PATIENCE_S
    try:
        system.write(socket, len(frame).to_bytes(_HEAD, "big") + frame)
        while True:
            size = int.from_bytes(_read(socket, _HEAD, deadline), "big")
            if size > _MOST_FRAME:
                return "it does not speak as passt does"
            answer = _read(socket, size, deadline)
            # What it sends unasked is not for the guest yet.
            if answer[12:14] == _ARP and answer[20:22] == _REPLY:
                return ""
    except InterruptedError:
        return "a signal ended the launch"
    except TimeoutError:
        return f"there is no answer within {_PATIENCE_S:.0f} s"
    except (ConnectionError, EOFError):
        return _ENDED


def _read(socket: int, size: int, deadline: float) -> bytes:
    """Read SIZE bytes. Raises EOFError, ConnectionError and TimeoutError, and InterruptedError when
    a signal waits that ends the launch: all of them are blocked here."""
    data = b""
    readable = poll()
    readable.register(socket, POLLIN)
    while len(data) < size:
        if sigpending() & _ENDING:
            raise InterruptedError
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
    return f"with status {system.WEXITSTATUS(code)}"
