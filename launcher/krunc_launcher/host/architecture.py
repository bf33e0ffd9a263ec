"""What depends on the architecture of this host's processors, where a plan asks for it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rare_rules import ARCHITECTURES
from krunc_launcher.errors import plain
from krunc_launcher.resolve.here import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.resolve.operation import Operation


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
    able = [name for name in operation.rule()["on"] if machine in ARCHITECTURES[name]["machines"]]
    if not able:
        only = " and ".join(operation.rule()["on"])
        yield f"{operation.name} is {only}'s alone, and this machine is {plain(machine)}"


def too_many_vcpus(wanted: int) -> Iterator[str]:
    """Tell that libkrun cannot number so many vCPUs here."""
    most = here().get("vcpus", wanted)
    if wanted > most:
        machine = plain(system.uname().machine)
        yield f"the VM wants {wanted} vCPUs; libkrun numbers {most} at most on {machine}"
