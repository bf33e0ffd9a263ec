"""What only one fork of libkrun has."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation

_FORK = ("extensions", "smolmachines")


def smolmachines(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the calls of the fork that the PyPI package smolmachines holds; after its vsock
    device."""
    del target
    fork = box.smolmachines
    if fork is None:
        return
    if fork.cpu_template is not None:
        where = (*_FORK, "cpu_template")
        yield Operation("call", "krun_set_cpu_template", where, {"cpu_template": fork.cpu_template})
    if fork.egress is not None:
        where = (*_FORK, "egress")
        allowed = {
            "cidrs": list(fork.egress.cidrs) or None,
            "hosts": list(fork.egress.hosts) or None,
            "resolvers": list(fork.egress.resolvers) or None,
        }
        places: dict[str, Path] = {name: (*where, name) for name in allowed}
        yield Operation("call", "krun_set_egress_policy", where, allowed, places=places)
    if fork.control_socket is not None:
        where = (*_FORK, "control_socket")
        yield Operation("step", "clear_stale_socket", where, {"path": fork.control_socket})
        args = {"socket_path": fork.control_socket}
        places = {"socket_path": where}
        yield Operation("call", "krun_set_control_socket", where, args, places=places)
