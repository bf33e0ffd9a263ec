"""Whether the TCP ports that lead into the guest are free.

libkrun binds one when the guest listens on it, and then only the guest's program is told that it
cannot.

libkrun's socket has SO_REUSEPORT and no more (its tsi_stream.rs). So what is left of connections to
an earlier VM is not in its way, of connections to most other programs it is. And it shares a port
with a VM of the same user that listens there, of which a guest gets some connections at random.
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# bits/socket.h, asm-generic/socket.h and net/tcp_states.h of Linux
_INET, _STREAM_CLOEXEC, _SOCKET, _REUSEADDR, _REUSEPORT = 2, 0o2000001, 1, 2, 15
_ANY = bytes(4)  # the address 0.0.0.0
_LISTENING = "0A"

_FIRST_FREE = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


def taken(port_map: list[str]) -> Iterator[str]:
    """Tell why the host's ports of PORT_MAP, "HOST:GUEST" each, cannot be listened on."""
    if sys.platform != "linux":
        return
    for pair in port_map:
        port = int(pair.partition(":")[0])
        why = _bound(port, 0)
        if not why:
            continue
        from errno import EACCES, EADDRINUSE

        if why == EADDRINUSE and _has_listener(port):
            yield (
                f"TCP port {port} of this host is in use; stop what listens there (ss -ltnp), "
                "or choose another"
            )
        elif why == EADDRINUSE and _bound(port, _REUSEPORT):
            yield (
                f"TCP port {port} of this host is held by connections (ss -tanp), which the kernel "
                "keeps for a minute when their program has ended; wait, or choose another"
            )
        elif why == EACCES:
            yield (
                f"you (uid {system.geteuid()}) cannot listen on TCP port {port}; choose one above "
                f"those that {_FIRST_FREE} keeps for root"
            )


def taken_of(published: list[str]) -> Iterator[str]:
    """Tell which TCP ports of PUBLISHED, "ADDRESS:HOST:GUEST" each, others listen on. passt binds
    them with SO_REUSEADDR (its util.c): what is left of connections is not in its way."""
    for one in published if sys.platform == "linux" else ():
        address, number, _ = one.split(":")
        ipv4 = bytes(map(int, address.split(".")))
        if _bound(int(number), _REUSEADDR, ipv4) == 98:  # EADDRINUSE of asm-generic/errno.h
            yield (
                f"TCP port {number} of {address} is in use; stop what listens there (ss -ltnp), "
                "or choose another"
            )


def _bound(port: int, option: int, address: bytes = _ANY) -> int:
    """Return the error of binding a socket to PORT of ADDRESS, with the OPTION of sockets if it is
    not 0, and of closing it again; 0 for none. A plain one finds anything that holds the port. By
    libc: the import of Python's sockets would be a thirtieth of a launch."""
    probe = libc.socket(_INET, _STREAM_CLOEXEC, 0)
    if probe < 0:
        return 0
    try:
        if option:
            libc.setsockopt(probe, _SOCKET, option, ffi.new("int *", 1), 4)
        # struct sockaddr_in: the family in the host's order, the port in the network's.
        name = _INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + address + bytes(8)
        return ffi.errno if libc.bind(probe, name, len(name)) else 0
    finally:
        system.close(probe)


def _has_listener(port: int) -> bool:
    """Tell whether a program listens on PORT of any address; True where that cannot be told."""
    end = f":{port:04X}"
    for version in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{version}", encoding="ascii") as file:
                rows = [line.split(None, 4)[1:4] for line in file]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        except OSError:
            return True
        if any(local.endswith(end) and state == _LISTENING for local, _, state in rows):
            return True
    return False
