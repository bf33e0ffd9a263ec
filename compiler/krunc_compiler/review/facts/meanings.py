"""What a libkrun function reaches on the host, by what the API table says that its parameters mean:
for functions that have no words of their own here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Function, Param
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts import machine, network, process, storage
from krunc_compiler.review.facts.streams import stream
from krunc_compiler.review.words import word

_NOUNS = {"directory": "directory", "disk": "disk", "file": "file"}
_WAYS = {"read": ("read",), "read-write": ("read", "write"), "device": ("read", "write")}


def by_meaning(row: Row) -> Iterator[Fact]:
    """Tell what the call of ROW reaches; nothing for a function that the table does not have."""
    function = api.functions().get(row.name)
    if function is None:
        return
    yield from _whole(row, function)
    for param in function.params:
        value = row.args.get(param.name)
        if value is not None:
            yield from _argument(row, param, value, (*_subject(row, function), param.name))


def _subject(row: Row, function: Function) -> tuple[str, ...]:
    """Return the call, told apart from others of the function by the names that it gives."""
    unique = [str(row.args.get(one.name)) for one in function.params if "unique" in one.rules]
    return (row.name, *unique)


def _whole(row: Row, function: Function) -> Iterator[Fact]:
    """Tell what a function reaches whatever its arguments are."""
    rules = function.rules
    if "unknown_access" in rules:
        text = f"the host access that {word(row.name)} needs is not known"
        yield row.fact(
            "other", ("call", row.name), text, Reach("other", row.name, "unknown access")
        )
    if rules.get("environment") == "desktop":
        text = f"the host desktop ({word(row.name)})"
        yield row.fact("device", (row.name, "desktop"), text, Reach("device", "desktop"))
    for path, how in rules.get("opens", {}).items():
        reach = [Reach("device", way, path) for way in _WAYS[how]]
        yield row.fact("device", (row.name, path), f"{word(path)} ({word(row.name)})", *reach)
    replaced = {one["name"] for one in api.table()["implicit"] if row.name in one.get("unless", ())}
    if "no_network" in replaced or function.feature == "net":
        exact = json.dumps(row.args, sort_keys=True)
        text = f"anything that {word(row.name)} leads to"
        yield row.fact("network", _subject(row, function), text, Reach("network", row.name, exact))
    if "kernel" in replaced:
        yield row.fact("kernel", "kernel", f"as {word(row.name)} says, not libkrunfw's")
        text = f"a kernel that is not libkrunfw's ({word(row.name)})"
        yield row.fact("read", (row.name, "kernel"), text, Reach("without", "libkrunfw's kernel"))
    if "init" in replaced:
        yield row.fact("init", "init", f"as {word(row.name)} says, not libkrun's")
    if replaced & {"kernel", "init"}:
        yield machine.untold(row)


def _argument(row: Row, param: Param, value: Any, subject: tuple[str, ...]) -> Iterator[Fact]:
    label = f"{word(row.name)} {word(param.name)}"
    match param.kind:
        case "host_path":
            noun = _NOUNS[param.rules["target"]]
            only_reads = api.opening(param, row.args) == "read"
            kind, reach = storage.access(noun, value, only_reads)
            yield row.fact(kind, subject, f"{noun} {word(value)} ({label})", *reach)
        case "socket_path":
            makes = api.opening(param, row.args) == "make"
            verb, noun = ("listen", row.name) if makes else ("connect", "socket")
            reached = Reach(verb, noun, storage.same(value))
            text = f"socket {word(value)} ({label})"
            yield row.fact("listen" if makes else "connect", subject, text, reached)
        case "bytes":
            yield from storage.content(row, subject, value, label)
        case "env":
            seen = process.COMMAND_LINE if "command_line" in param.rules else None
            yield from process.environment(row, value, seen)
        case "port_map":
            yield from network.published(row, value)
        case "fd":
            yield from _descriptor(row, value, subject, label)
        case _:
            yield from _meant(row, param, value)


def _descriptor(row: Row, value: Any, subject: tuple[str, ...], label: str) -> Iterator[Fact]:
    if value in ("none", "default"):
        return
    reach = []
    if isinstance(value, int):
        reach = [Reach("stdio", "descriptor", f"fd {value}")]
    elif isinstance(value, str):
        reach = [Reach("stdio", "stream", value)]
    yield row.fact("stdio", subject, f"{stream(row, value)} ({label})", *reach)


def _meant(row: Row, param: Param, value: Any) -> Iterator[Fact]:
    match param.rules.get("means"):
        case "vcpus":
            yield machine.cpus(row, value)
        case "memory_mib":
            yield machine.memory(row, value)
        case "nested":
            yield machine.nesting(row, value)
        case "tsi":
            yield from network.hijacked(row, value)
        case "tap":
            yield network.tap(row, ("tap", value), value)
        case "uid" | "gid" as what:
            yield machine.becomes(row, what, value)
        case "program":
            yield row.fact("program", "program", process.command([value]))
        case "workdir":
            yield row.fact("workdir", "workdir", word(value))
        case "laid_at":
            text = f"{word(value)}, laid there by {word(row.name)}"
            yield row.fact("overlay", (row.name, value), text)
