"""The order of a plan: one table, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from krunc_compiler.api import Target, implied
from krunc_compiler.box import Box
from krunc_compiler.lowering import (
    channels,
    conditions,
    console,
    machine,
    network,
    process,
    storage,
)
from krunc_compiler.operation import Operation

# The order of libkrun calls is that of BoxLite's engine; libkrun accepts most wrong orders
# without a word and then means something else.
STEPS: tuple[Callable[[Box, Target], Iterator[Operation]], ...] = (
    conditions.lower,
    machine.log,
    machine.context,
    machine.configuration,
    network.lower,
    storage.open_files,
    process.limits,
    storage.shares,
    storage.disks,
    storage.root,
    process.workdir,
    process.program,
    channels.lower,
    console.lower,
)

# What of the implicit things a key of the box asks for.
_ASKED_BY = {
    "vsock_with_tsi": "network",
    "all_guest_ports_published": "network",
    "no_network": "network",
}


def lower(box: Box, target: Target) -> list[Operation]:
    """The operations of BOX for TARGET, in order.

    What libkrun does where a call is absent is written down too; then the VM is entered.
    """
    operations = [operation for step in STEPS for operation in step(box, target)]
    calls = [(o.name, o.args) for o in operations if o.kind == "call"]
    for name in implied(target.era, calls):
        origin = box.origin(_ASKED_BY[name]) if name in _ASKED_BY else ()
        operations.append(Operation("implicit", name, origin))
    operations.append(Operation("call", "krun_start_enter"))
    return operations
