"""What the guest kernel's command line can carry, which libkrun 1.x and 2.0-dev make of a plan."""

from __future__ import annotations

from functools import cache

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Finding
from krunc_compiler.lowering import arguments
from krunc_compiler.plan.operation import Operation


def is_right(operations: list[Operation], wrong: list[Finding]) -> bool:
    """Tell whether all that OPERATIONS put on the command line reaches the guest unchanged, if it
    has room; WRONG is what is wrong with any argument of theirs."""
    on_it = _on_it()
    return not wrong or not arguments.check([one for one in operations if one.name in on_it])


def has_room(sizes: dict[str, int], arch: str | None) -> bool:
    """Tell whether a command line of SIZES is not too long for a guest of ARCH, or any without
    one."""
    return all(sizes[name] <= room(name) for name in api.architectures_of(arch))


@cache
def _on_it() -> dict[str, list[str]]:
    """Return the functions with arguments that stand on the command line, and which these are."""
    named = {
        name: [param.name for param in one.params if "command_line" in param.rules]
        for name, one in api.functions().items()
    }
    return {name: arguments for name, arguments in named.items() if arguments}


def room(arch: str) -> int:
    """Return the bytes that a guest of ARCH keeps of its command line."""
    most: int = api.architectures()[arch]["cmdline_bytes"]
    return most


def sizes(operations: list[Operation]) -> dict[str, int]:
    """About how many bytes the command line of OPERATIONS has on each architecture, at most."""
    on_it = _on_it()
    words: list[str] = []
    for operation in operations:
        for name in on_it.get(operation.name, ()):
            words += _words(operation.args[name])
    # Each word has a blank, two quotes or a name such as KRUN_BLOCK_ROOT_OPTIONS= around it.
    total = len("".join(words).encode("utf-8", "surrogatepass")) + 3 * len(words)
    total += len(api.table()["kernel_cmdline"]["prolog"]) + 128
    count = devices(operations)
    return {
        name: total + count * int(row["device_bytes"]) for name, row in api.architectures().items()
    }


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [f"{name}={text}," for name, text in value.items()]
    return []


def devices(operations: list[Operation]) -> int:
    """Return the virtio devices of the machine, libkrun's implicit ones among them."""
    known = _devices()
    return sum([known[operation.name] for operation in operations if operation.name in known])


@cache
def _devices() -> dict[str, int]:
    """Return the devices of each function, and of what is implicit, that has any."""
    found = {name: one.devices for name, one in api.functions().items() if one.devices}
    for row in api.table()["implicit"]:
        if "devices" in row:
            found[row["name"]] = found.get(row["name"], 0) + row["devices"]
    return found
