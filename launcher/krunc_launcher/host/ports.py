"""Whether the TCP ports that lead into the guest are free: libkrun binds one when the guest listens
on it, and then only the guest's program is told that it cannot."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# bits/socket.h and asm-generic/socket.h of Linux
_INET, _STREAM_CLOEXEC, _SOCKET, _REUSEADDR = 2, 0o2000001, 1, 2

_FIRST_FREE = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


def taken(port_map: list[str]) -> Iterator[str]:
    """Tell why the host's ports of PORT_MAP, "HOST:GUEST" each, cannot be listened on."""
    if sys.platform != "linux":
        return
    for pair in port_map:
        port = int(pair.partition(":")[0])
        why = _bound(port)
        if not why:
            continue
        from errno import EACCES, EADDRINUSE

        if why == EADDRINUSE:
            yield (
                f"TCP port {port} of this host is in use; stop what listens there (ss -ltnp), "
                "or choose another"
            )
        elif why == EACCES:
            yield (
                f"you (uid {system.geteuid()}) may not listen on TCP port {port}; choose one above "
                f"those that {_FIRST_FREE} keeps for root"
            )


def _bound(port: int) -> int:
    """Return the error of binding a socket to PORT of all addresses, and of closing it again; 0 for
    none. By libc: the import of Python's sockets would be a thirtieth of a launch."""
    probe = libc.socket(_INET, _STREAM_CLOEXEC, 0)
    if probe < 0:
        return 0
    try:
        libc.setsockopt(probe, _SOCKET, _REUSEADDR, ffi.new("int *", 1), 4)
        # struct sockaddr_in: the family in the host's order, the port in the network's.
        address = _INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + bytes(12)
        return ffi.errno if libc.bind(probe, address, len(address)) else 0
    finally:
        system.close(probe)
