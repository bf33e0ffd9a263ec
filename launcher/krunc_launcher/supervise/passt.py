"""The passt of a VM: a process beside the VM's, joined to it by a socket that no path leads to.

It confines itself when it has started (namespaces, an empty root, seccomp). It ends when the VM's
process does, for that closes the socket; and with the launcher, by SIGKILL.
"""

from __future__ import annotations

import os
from _signal import SIG_SETMASK, SIGKILL, pthread_sigmask  # type: ignore[import-not-found]
from _socket import socketpair
from select import POLLIN, poll
from time import monotonic, sleep

from krunc_launcher._krun import libc
from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.resolve.passt import command, of, served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.resolve.operation import Operation

_SET_PDEATHSIG = 1  # linux/prctl.h
# Where the program finds its socket: behind the standard streams.
_SOCKET = 3
# It answers within 40 ms; an emulated host takes a second.
_PATIENCE_S = 20.0
# How long a VM's process is waited for that may have ended before its passt did.
_TOGETHER_S = 0.5
_MOST_SAID = 500
# What it says of a host without a system log, which it does not need.
_NOISE = ("Failed to send ", "Don't run as root")
_ARP, _REQUEST, _REPLY = b"\x08\x06", b"\x00\x01\x08\x00\x06\x04\x00\x01", b"\x00\x02"
_HEAD = 4  # the length before each frame, in network order

# By words of passt: what to do.
_ADVICE = (
    ("user namespace", "it confines itself in one: allow them (kernel.unprivileged_userns_clone, "
     "user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"),
    ("unshare", "it confines itself in namespaces: allow them to the launching user"),
    ("xternal interface", "this passt needs an interface of the host with an IPv4 address and a "
     "default route"),
    ("bind", "a port is in use (ss -ltnup), kept for root (net.ipv4.ip_unprivileged_port_start), "
     "or its address is not this host's"),
    ("nrecognized option", "this passt is too old; krunc needs one of 2023 or newer"),
)  # fmt: skip


class Passt:
    """A running passt. SOCKET is the VM's end, under the NAME that the plan gives it."""

    __slots__ = ("_errors", "_said", "code", "name", "pid", "socket")

    def __init__(self, name: str, pid: int, socket: int, errors: int) -> None:
        self.name = name
        self.pid = pid
        self.socket = socket
        self.code: int | None = None
        self._errors = errors
        self._said = b""

    def words(self) -> str:
        """Tell what it said, the last words of it, for the end of a sentence."""
        try:
            while more := os.read(self._errors, 4096):
                self._said = (self._said + more)[-4096:]
        except BlockingIOError:
            pass  # it runs
        lines = self._said.decode("utf-8", "replace").splitlines()
        said = "; ".join(line for line in lines if line and not line.startswith(_NOISE))
        return plain(said[-_MOST_SAID:]) or "it says nothing"

    def end(self) -> None:
        """End it, if it has not ended, and forget it."""
        if self.code is None:
            os.kill(self.pid, SIGKILL)
            self.code = os.waitpid(self.pid, 0)[1]
        os.close(self._errors)

    def lost(self, code: int, vm: int) -> str:
        """Note that it has ended with CODE; tell of it unless the process VM has ended, too."""
        self.code = code
        if os.WIFEXITED(code) and not os.WEXITSTATUS(code) and _ends(vm):
            return ""
        return f"passt has ended {_how(code)}, and with it the network of the VM: {self.words()}"


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
    os.close(passt.socket)
    if failed == _ENDED:
        passt.code = os.waitpid(passt.pid, 0)[1]
        failed = f"it ended {_how(passt.code)}"
    words = passt.words()
    passt.end()
    advice = [text for mark, text in _ADVICE if mark in words]
    origin = step.origin
    raise LaunchError(f"{plain(program)} does not serve: {failed}: {words} ({origin})", *advice[:1])


def _fork(step: Operation, mask: Any) -> Passt:
    program, parent = step.argument("program"), os.getpid()
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)  # what nobody reads holds no program up
    ours, its = (end.detach() for end in socketpair())
    pid = os.fork()
    if not pid:
        try:
            _become(program, command(step, str(_SOCKET)), (its, write), mask, parent)
        except OSError as error:
            os.write(write, os.fsencode(why(error)))
        finally:
            os._exit(127)
    os.close(its)
    os.close(write)
    return Passt(step.argument("name"), pid, ours, read)


def _become(program: str, words: list[str], ends: tuple[int, int], mask: Any, parent: int) -> None:
    """Become PROGRAM, with its socket and standard error, the ENDS, and nothing else."""
    libc.prctl(_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    os.setsid()  # a Ctrl-C of the terminal is not for it
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    its, errors = ends
    for target, source in ((0, nothing), (1, nothing), (2, errors), (_SOCKET, its)):
        os.dup2(source, target)
    os.set_inheritable(_SOCKET, True)
    os.closerange(_SOCKET + 1, 1 << 20)
    pthread_sigmask(SIG_SETMASK, mask)
    # By the name it tells passt from pasta.
    os.execve(program, ["passt", *words], {})


_ENDED = "ended"


def _asked(socket: int, mac: bytes, address: str, gateway: str) -> str:
    """Ask the program behind SOCKET for the gateway's MAC, as the guest of MAC and ADDRESS would;
    empty when it answers. It does when it has confined itself and its ports are open."""
    ours, its = (bytes(map(int, one.split("."))) for one in (address, gateway))
    frame = b"\xff" * 6 + mac + _ARP + _REQUEST + mac + ours + bytes(6) + its
    deadline = monotonic() + _PATIENCE_S
    try:
        os.write(socket, len(frame).to_bytes(_HEAD, "big") + frame)
        while True:
            size = int.from_bytes(_read(socket, _HEAD, deadline), "big")
            answer = _read(socket, size, deadline)
            # What it sends unasked is not for the guest yet.
            if answer[12:14] == _ARP and answer[20:22] == _REPLY:
                return ""
    except TimeoutError:
        return f"there is no answer within {_PATIENCE_S:.0f} s"
    except (ConnectionError, EOFError):
        return _ENDED


def _read(socket: int, size: int, deadline: float) -> bytes:
    """Read SIZE bytes. Raises EOFError, ConnectionError and TimeoutError."""
    data = b""
    readable = poll()
    readable.register(socket, POLLIN)
    while len(data) < size:
        if not readable.poll(max(0.0, deadline - monotonic()) * 1000):
            raise TimeoutError
        more = os.read(socket, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _how(code: int) -> str:
    if os.WIFSIGNALED(code):
        return f"by signal {os.WTERMSIG(code)}"
    return f"with status {os.WEXITSTATUS(code)}"


def _ends(pid: int) -> bool:
    """Tell whether the process PID, a child of this one, ends about now."""
    deadline = monotonic() + _TOGETHER_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if monotonic() >= deadline:
            return False
        sleep(0.01)
    return True
