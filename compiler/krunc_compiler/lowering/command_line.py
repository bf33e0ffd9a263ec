"""What the guest kernel's command line can carry, which libkrun 1.x and 2.0-dev make of a plan."""

from __future__ import annotations

from functools import cache

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Finding
from krunc_compiler.lowering import arguments
from krunc_compiler.plan.operation import Operation


def fits(operations: list[Operation], wrong: list[Finding], arch: str | None) -> bool:
    """Tell whether all that OPERATIONS put on the command line reaches a guest of ARCH, or any
    without one, unchanged; WRONG is what is wrong with any argument of theirs."""
    if wrong and arguments.check(carried(operations)):
        return False
    return has_room(operations, arch)


def has_room(operations: list[Operation], arch: str | None) -> bool:
    """Tell whether the command line is not too long for a guest of ARCH, or any without one."""
    return all(size(operations, name) <= room(name) for name in api.architectures_of(arch))


def carried(operations: list[Operation]) -> list[Operation]:
    """Return those of OPERATIONS that libkrun writes on the command line."""
    on_it = _on_it()
    return [operation for operation in operations if operation.name in on_it]


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


def size(operations: list[Operation], arch: str) -> int:
    """About how many bytes the command line of OPERATIONS has on ARCH, at most."""
    line = api.table()["kernel_cmdline"]
    words: list[str] = []
    for operation in carried(operations):
        for name in _on_it()[operation.name]:
            words += _words(operation.args[name])
    # Each word has a blank, two quotes or a name such as KRUN_BLOCK_ROOT_OPTIONS= around it.
    total = len("".join(words).encode("utf-8", "surrogatepass")) + 3 * len(words)
    return (
        total
        + len(line["prolog"])
        + 128
        + devices(operations) * int(api.architectures()[arch]["device_bytes"])
    )


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
