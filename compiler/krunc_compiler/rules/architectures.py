"""What only some architectures can do, or what reaches no guest on any that the box may run on."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.box.box import Box
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.libkrun import Target
from krunc_compiler.lowering import command_line
from krunc_compiler.plan.operation import Operation


class _Asked(NamedTuple):
    """What is asked of the machine, the architectures ABLE to do it, and the code of the finding,
    with its WAY out, where none of the box's is; `which` is said of the others."""

    what: str
    able: tuple[str, ...]
    where: Path
    which: str
    code: str = "KR881"
    way: str = ""
    at_key: bool = False
    is_plain: bool = False  # what is given tells by itself what it is for


def check(
    box: Box, operations: list[Operation], line: dict[str, int], target: Target
) -> Iterator[Finding]:
    """Tell what of OPERATIONS needs another architecture than that of BOX, or one alone where it
    names none; and what no guest hears of. LINE is how long the kernel's command line is on
    each."""
    possible = api.architectures_of(box.arch)
    special = _special()
    names = [operation.name for operation in operations]
    calls = [one for one in operations if one.name in special]
    for asked in (
        *_devices(operations, names),
        *_line(line),
        *(one for operation in calls for one in _call(operation)),
    ):
        able = [name for name in possible if name in asked.able]
        if not able:
            only = f": only on {' or '.join(asked.able)}" if asked.able else ""
            hint = asked.way or f"remove it, or write `arch: {' or '.join(asked.able)}`"
            whose = f"; this box is for {box.arch}" if box.arch is not None else ""
            said = f"{asked.what}{only}; {asked.which}{whose}"
            yield Finding(asked.code, said, asked.where, hint=hint, at_key=asked.at_key)
        elif len(able) < len(possible) and not asked.is_plain:
            hint = f"write `arch: {' or '.join(able)}`, and no other machine is to have it"
            said = f"{asked.what}: only on {' or '.join(able)}; {asked.which}"
            yield Finding("KR880", said, asked.where, hint=hint, at_key=asked.at_key)
    for found in _unheard(possible, operations, set(names), target):
        if box.origin(*found.path):  # a default asks for nothing
            yield found


def _able(limit: str, wanted: int) -> tuple[str, ...]:
    return tuple(name for name, row in api.architectures().items() if row[limit] >= wanted)


def _most(limit: str) -> str:
    return ", ".join(f"{row[limit]} on {name}" for name, row in api.architectures().items())


def _devices(operations: list[Operation], names: list[str]) -> Iterator[_Asked]:
    count = command_line.devices(operations)
    rows = api.architectures()
    # Some functions take an interrupt line beside those of devices.
    taken = {arch: count + sum(map(names.count, row["lines_too"])) for arch, row in rows.items()}
    able = tuple(arch for arch, row in rows.items() if row["virtio_devices"] >= taken[arch])
    if len(able) < len(rows):
        last = [o for o in operations if o.kind == "call" and api.functions()[o.name].devices]
        yield _Asked(
            f"the box has {count} virtio devices",
            able,
            last[-1].origin[:1],
            f"a machine of libkrun has interrupt lines for {_most('virtio_devices')}",
            "KR207",
            "put several directories under one share, or several disks into one; libkrun's own "
            "devices (balloon, rng, console, vsock) count too",
            at_key=True,
        )


def _line(line: dict[str, int]) -> Iterator[_Asked]:
    able = tuple(name for name, size in line.items() if size <= command_line.room(name))
    if len(able) < len(line):
        first, size = next(iter(line.items()))
        yield _Asked(
            f"program, arguments and variables make about {size} bytes of the guest's kernel "
            "command line",
            able,
            ("entrypoint",),
            f"it holds {command_line.room(first)}",
            "KR204",
            "put long strings into a file in the root directory or a share, or with a root "
            "directory use --target 1.19 or 2, whose libkrun reads a configuration file; the guest "
            "would silently lose the end",
            at_key=True,
        )


@cache
def _special() -> dict[str, tuple[api.Param, ...]]:
    """Return the functions that can ask for what not every architecture has, each with the
    arguments that can."""
    found = {}
    for name, one in api.functions().items():
        params = tuple(
            param
            for param in one.params
            if param.rules.get("means") == "vcpus" or param.rules.get("enum") == "kernel_format"
        )
        if params or "on" in one.rules:
            found[name] = params
    return found


def _call(operation: Operation) -> Iterator[_Asked]:
    """Yield what a call asks for that not every architecture has."""
    function = api.functions()[operation.name]
    if "on" in function.rules:
        where = operation.need or operation.origin
        able = tuple(function.rules["on"])
        yield _Asked(operation.name, able, where, "libkrun refuses it elsewhere")
    for param in _special()[operation.name]:
        value = operation.args.get(param.name)
        where = operation.place(param.name) or operation.origin
        if param.rules.get("means") == "vcpus" and isinstance(value, int):
            able = _able("vcpus", value)
            if len(able) < len(api.architectures()):
                yield _Asked(
                    f"{value} vCPUs", able, where, f"libkrun numbers {_most('vcpus')} at most"
                )
        elif "enum" in param.rules:
            rows = api.architectures().items()
            able = tuple(name for name, row in rows if value in row["kernel_formats"])
            if len(able) < len(rows):
                what = f"a kernel of the format {value}"
                which = "libkrun boots no such kernel elsewhere"
                yield _Asked(what, able, where, which, is_plain=True)


def _unheard(
    possible: tuple[str, ...], operations: list[Operation], names: set[str], target: Target
) -> Iterator[Finding]:
    """Tell what of OPERATIONS, of these NAMES, reaches no guest on any of the POSSIBLE
    architectures."""
    unheard = _never_heard()
    for operation in [one for one in operations if one.name in unheard]:
        rows = unheard[operation.name]
        found: dict[str, str] = {}
        where = operation.origin
        for row in rows:
            of = row.get("of")
            if "with" in row and not names.intersection(row["with"]):
                continue
            if names.intersection(row.get("unless", ())) or target.era not in row.get(
                "eras", (target.era,)
            ):
                continue
            if of is not None and not operation.args[of]:
                continue
            if of is not None:
                where = operation.place(of) or where
            found |= dict.fromkeys(row.get("on", possible), row["why"])
        if found.keys() >= set(possible) and where:
            whys = dict.fromkeys(found[name] for name in possible)
            machines = f" on {_names(possible)}" if len(possible) == 1 else ""
            said = f"nothing of this reaches the guest{machines}: {'; '.join(whys)}"
            yield Finding("KR882", said, where, hint=rows[-1].get("way", ""))


@cache
def _never_heard() -> dict[str, list[dict[str, Any]]]:
    """Return the functions of which a guest may never hear, each with when and why."""
    rules = {name: one.rules for name, one in api.functions().items()}
    return {name: row["unheard"] for name, row in rules.items() if row.get("unheard")}


def _names(architectures: tuple[str, ...]) -> str:
    return " and ".join(architectures)
