"""The passt of a plan: its command line, and the network device that it serves."""

from __future__ import annotations

from krunc_launcher.resolve.operation import Opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.resolve.operation import Operation

# In plan/sequence.py a plan has it once, and one call is served by it.
STEP = "start_passt"


def command(step: Operation, descriptor: str) -> list[str]:
    """Return the arguments of STEP's program, whose socket is DESCRIPTOR. Options that passt has
    from 2023 on, as in Debian 12; with a descriptor it ends when its client does."""
    words = ["--quiet", "--foreground", "--ipv4-only"]
    words += ["--address", step.argument("address"), "--netmask", str(step.argument("prefix"))]
    words += ["--gateway", step.argument("gateway"), "--dns-forward", step.argument("resolver")]
    if not step.argument("host_loopback"):
        words.append("--no-map-gw")
    for option in ("tcp", "udp"):
        ports = step.argument(f"{option}_ports")
        for port in ports:
            words += [f"--{option}-ports", port.replace(":", "/", 1)]
        if not ports:
            words += [f"--{option}-ports", "none"]
    return [*words, "--fd", descriptor]


def of(done: list[Operation]) -> Operation | None:
    """Return the step of DONE that starts passt, None without one."""
    return next((operation for operation in done if operation.name == STEP), None)


def served(done: list[Operation], step: Operation) -> Operation:
    """Return the call of DONE that has the other end of the socket of STEP."""
    name = step.argument("name")
    return next(
        operation
        for operation in done
        if any(isinstance(value, Opened) and value.name == name for value in operation.values)
    )
