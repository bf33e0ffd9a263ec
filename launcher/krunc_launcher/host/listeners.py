"""Who serves a Unix socket, asked of the kernel and not by connecting to it.

Network programs that take one client, as gvproxy for QEMU's protocol or `passt --one-off` do,
would be gone after a connection that only asked.
"""

from __future__ import annotations

import errno

from krunc_launcher import system
from krunc_launcher.errors import plain, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# sock_diag(7), linux/netlink.h, linux/unix_diag.h, net/tcp_states.h
_NETLINK, _SOCK_DIAG, _BY_FAMILY = 16, 4, 20
_DUMP, _ERROR, _DONE = 0x301, 2, 3
_LISTENING, _UNCONNECTED = 1 << 10, 1 << 7
_SHOW_NAME, _SHOW_FILE = 1, 2
_NAME, _FILE = 0, 1
_UNIX, _RAW, _DATAGRAM = 1, 3, 2
_BUFFER = 65536


def kinds(path: str) -> set[int]:
    """Return the types (SOCK_STREAM, SOCK_DGRAM) of the sockets that serve the file PATH in this
    network namespace; empty when there are none, or when the kernel has no unix_diag."""
    inode = system.lstat(path).st_ino & 0xFFFFFFFF
    name = system.fsencode(system.basename(path))
    found = set()
    try:
        for kind, state, attributes in _bound():
            file = attributes.get(_FILE, b"")
            bound = attributes.get(_NAME, b"").rstrip(b"\0").rpartition(b"/")[2]
            # Each open datagram socket takes what is sent to it; a stream has to listen.
            serves = kind == _DATAGRAM or 1 << state == _LISTENING
            if serves and bound == name and int.from_bytes(file[:4], "little") == inode:
                found.add(kind)
    except OSError:
        return set()
    return found


STATES = {
    "served": "a process is listening on this socket",
    "stale": "no process is listening on this socket",
    "absent": "there is no such socket",
    "other": "this is not a socket",
    "type": "this is a socket of another type",
    "denied": "you cannot connect to this socket",
}


def listener(path: str, stream: bool, directories: Directories) -> str:
    """Tell whether a Unix socket is served, stale, absent, another kind of file, or out of
    reach."""
    try:
        mode = directories.status(path, follow=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return "denied"
    if not system.S_ISSOCK(mode):
        return "other"
    from _socket import AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM
    from _socket import socket as Socket

    kind = SOCK_STREAM if stream else SOCK_DGRAM
    serving = kinds(path)
    if serving:
        return "served" if kind in serving else "type"
    # Nobody, or somebody in another network namespace.
    probe = Socket(AF_UNIX, kind | SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return "stale"
        return {
            errno.EAGAIN: "served",  # its backlog is full
            errno.EPROTOTYPE: "type",
            errno.ENOENT: "absent",
        }.get(error.errno or 0, "denied")
    finally:
        probe.close()
    return "served"


def replaceable(operation: Operation, directories: Directories) -> Iterator[str]:
    """Yield sockets of OPERATION whose path a guest can have led elsewhere, or can lead elsewhere
    while it runs."""
    for rule, path, how in operation.opens():
        if rule["kind"] != "socket_path":
            continue
        try:
            directories.status(path, follow=how == "connect")
        except OSError as error:
            if error.errno == errno.ELOOP:
                yield f"{plain(path)}: {why(error)}"
                continue
        # What somebody has to serve is connected to before the guest runs.
        if how == "connect" and "served" not in rule and _is_written(path, directories):
            yield (
                f"{plain(path)} is in a directory that a guest may write, or a link leads there, "
                "and libkrun connects to it while the guest runs, through any link that the guest "
                "puts in its place; keep the socket out of what guests write"
            )


def _is_written(path: str, directories: Directories) -> bool:
    try:
        return directories.is_written(path)
    except OSError:
        return False  # it cannot be reached


def _bound() -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Yield type, TCP state and attributes of each Unix socket that listens or waits."""
    from _socket import socket
    from _struct import pack

    wanted = pack(
        "=BBHIIIII", _UNIX, 0, 0, _LISTENING | _UNCONNECTED, 0, _SHOW_NAME | _SHOW_FILE, 0, 0
    )
    kernel = socket(_NETLINK, _RAW, _SOCK_DIAG)
    try:
        kernel.settimeout(1)
        kernel.send(pack("=IHHII", 16 + len(wanted), _BY_FAMILY, _DUMP, 1, 0) + wanted)
        while True:
            for kind, message in _parts(kernel.recv(_BUFFER), "=IH", 16):
                if kind in (_ERROR, _DONE):
                    return
                attributes = dict(_parts(message[16:], "=HH", 4))
                yield message[1], message[2], attributes
    finally:
        kernel.close()


def _parts(data: bytes, head: str, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the messages or attributes in DATA, each behind a HEAD of SIZE
    bytes and padded to a multiple of four."""
    from _struct import unpack_from

    while len(data) >= size:
        length, kind = unpack_from(head, data)
        if length < size:
            return
        yield kind, data[size:length]
        data = data[length + 3 & ~3 :]
