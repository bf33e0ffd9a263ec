"""SIGIO for the process above the VMs': it sleeps until a signal comes."""

from __future__ import annotations

from fcntl import F_GETFL, F_SETFL, F_SETOWN, fcntl

from krunc_launcher import system


def wake(handle: int) -> None:
    """Have SIGIO sent to this process whenever there is something to look at in HANDLE."""
    fcntl(handle, F_SETOWN, system.getpid())
    fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) | system.O_ASYNC)
