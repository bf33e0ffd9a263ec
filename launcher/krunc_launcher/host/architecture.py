"""What depends on the architecture of this host's processors, where a plan asks for it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rare_rules import ARCHITECTURES
from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.resolve.operation import Operation


def here() -> dict[str, Any]:
    """Return the row of this machine's architecture; an empty one where it is none of libkrun's."""
    machine = system.uname().machine
    rows = (row for row in ARCHITECTURES.values() if machine in row["machines"])
    return next(rows, {})


def other(operation: Operation) -> Iterator[str]:
    """Tell that the plan is for another architecture."""
    wanted, machine = operation.argument("architecture").c, system.uname().machine
    if machine not in ARCHITECTURES[wanted]["machines"]:
        yield (
            f"the plan is for {wanted}; this machine is {plain(machine)}: launch it on another, or "
            "compile the box with another `arch`"
        )


def alone(operation: Operation) -> Iterator[str]:
    """Tell that a function of libkrun is not for this architecture."""
    machine = system.uname().machine
    able = [name for name in operation.rule["on"] if machine in ARCHITECTURES[name]["machines"]]
    if not able:
        only = " and ".join(operation.rule["on"])
        yield f"{operation.name} is {only}'s alone, and this machine is {plain(machine)}"


def too_many_vcpus(wanted: int) -> Iterator[str]:
    """Tell that libkrun cannot number so many vCPUs here."""
    most = here().get("vcpus", wanted)
    if wanted > most:
        machine = plain(system.uname().machine)
        yield f"the VM wants {wanted} vCPUs; libkrun numbers {most} at most on {machine}"


def too_many_devices(count: int, done: list[Operation]) -> list[str]:
    """Tell that libkrun has no interrupt lines here for so many virtio devices, beside what else of
    DONE takes one."""
    row, machine = here(), plain(system.uname().machine)
    others = sum(operation.name in row.get("lines_too", ()) for operation in done)
    most = row.get("virtio_devices", count + others) - others
    if count <= most:
        return []
    return [f"the VM has {count} virtio devices; libkrun has room for {most} on {machine}"]
