"""SIGIO for the process above the VMs': it sleeps until a signal comes."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._krun import libc

# asm-generic/fcntl.h. By libc: Python's module of these costs a hundredth of a launch to load.
_GETFL, _SETFL, _SETOWN = 3, 4, 8


def wake(handle: int) -> None:
    """Have SIGIO sent to this process whenever there is something to look at in HANDLE."""
    libc.fcntl(handle, _SETOWN, system.getpid())
    libc.fcntl(handle, _SETFL, libc.fcntl(handle, _GETFL, 0) | system.O_ASYNC)
