"""Whether the TCP ports that lead into the guest are free: libkrun binds one when the guest listens
on it, and then only the guest's program is told that it cannot."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_FREE = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


def taken(port_map: list[str]) -> Iterator[str]:
    """Why the host's ports of PORT_MAP, "HOST:GUEST" each, cannot be listened on."""
    from _socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
    from _socket import socket as Socket

    for pair in port_map:
        port = int(pair.partition(":")[0])
        probe = Socket(AF_INET, SOCK_STREAM)
        try:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                yield (
                    f"TCP port {port} of this host is in use; stop what listens there (ss -ltnp), "
                    "or choose another"
                )
            elif error.errno == errno.EACCES:
                yield (
                    f"you (uid {os.geteuid()}) may not listen on TCP port {port}; choose one above "
                    f"those that {_FIRST_FREE} keeps for root"
                )
        finally:
            probe.close()
