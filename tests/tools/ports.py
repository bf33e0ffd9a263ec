"""TCP ports of this host that nobody has."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int = 1) -> int:
    """The first of COUNT free ports in a row, below those that the kernel gives to whoever connects."""
    end = int(_RANGE.read_text().split()[0])
    dice = random.SystemRandom()
    while True:
        first = dice.randrange(end // 2, end - count)
        if all(map(_free, range(first, first + count))):
            return first


def _free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("", port))
        except OSError:
            return False
    return True
