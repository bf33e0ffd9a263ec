"""A call's arguments against libkrun's API table: what the table says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from krunc_compiler import api
from krunc_compiler.findings import Finding, Path, dotted
from krunc_compiler.operation import Operation

# The guest's kernel command line cannot carry everything; these two can.
_OTHER_WAYS = (
    "use entrypoint.script, or with a folder as root --target 1.19 or 2, whose libkrun reads a "
    "configuration file"
)


def check(operations: list[Operation]) -> list[Finding]:
    """What libkrun would refuse, garble or die of, each at the key that asked for it."""
    findings: list[Finding] = []
    seen: dict[tuple[str, Any], Path] = {}
    for operation in operations:
        for param in _ruled(operation.kind, operation.name):
            path = operation.place(param.name)
            value = operation.args[param.name]
            if value is None:
                continue
            findings += _check(operation, param, value, path or operation.origin)
            space = param.rules.get("unique")
            if space is None:
                continue
            first = seen.setdefault((space, value), path)
            if first != path:
                findings.append(_repeated(space, value, path, first))
    return findings


@cache
def _ruled(kind: str, name: str) -> list[api.Param]:
    """The arguments of an operation about which there is a rule that boxes can break."""
    return [p for p in api.params(kind, name) if p.kind in _RULED or "unique" in p.rules]


_RULED = ("int", "text", "host_path", "socket_path", "texts", "env", "bytes")


def _repeated(space: str, value: Any, path: Path, first: Path) -> Finding:
    return Finding(
        "KR201",
        f"the {space} {value!r} is already that of {dotted(first)}",
        path,
        hint="libkrun accepts both and the guest gets one of them; choose another",
    )


def _check(operation: Operation, param: api.Param, value: Any, path: Path) -> Iterator[Finding]:
    rules = param.rules
    match param.kind:
        case "int":
            if not rules["min"] <= value <= rules["max"]:
                unit = f" {rules['unit']}" if "unit" in rules else ""
                bounds = f"{rules['min']} to {rules['max']}{unit}"
                yield Finding("KR104", f"{value}{unit} is out of range", path, f"allowed: {bounds}")
        case "text" | "host_path" | "socket_path":
            yield from _text(value, rules, path)
        case "texts":
            yield from _count(value, rules, path)
            for i, text in enumerate(value):
                where = operation.item_place(param.name, i)
                yield from _text(text, rules, where)
                if text in rules.get("refused", ()):
                    yield Finding(
                        "KR202",
                        f"the argument {text!r} ends the list: the guest's kernel drops it and "
                        "all that follow",
                        where,
                        hint=_OTHER_WAYS,
                    )
        case "env":
            yield from _count(value, rules, path)
            for name, text in value.items():
                yield from _variable(name, text, rules, (*path, name))
        case "bytes":
            yield from _content(value, path)
        case _:
            pass


def _content(content: dict[str, Any], path: Path) -> Iterator[Finding]:
    """A content that stands in the plan; the program's, which stands at PATH, key by key."""
    if "process" not in content:
        return
    process = content["process"]
    yield from _readable(process["cwd"], (*path, "workdir"))
    for i, text in enumerate(process["args"]):
        yield from _readable(text, (*path, "args", i - 1) if i else (*path, "executable"))
    for name, text in process["env"].items():
        where = (*path, "env", name)
        yield from _reserved(name, where)
        if isinstance(text, str):
            yield from _readable(text, where)


def _readable(text: str, path: Path) -> Iterator[Finding]:
    rules = api.table()["guest_configuration"]
    bad = next((c for c in text if c < " " and c not in rules["controls"]), None)
    if bad is not None:
        yield Finding(
            "KR202",
            f"{name_of(bad)} cannot reach the guest unchanged",
            path,
            hint=f"{rules['doc']}; use entrypoint.script",
        )


def _count(value: Any, rules: dict[str, Any], path: Path) -> Iterator[Finding]:
    most = rules.get("max_items")
    if most is not None and len(value) > most:
        yield Finding(
            "KR203",
            f"{len(value)} are too many; the guest's kernel takes {most}",
            path,
            hint="with more, the kernel gives up before the program starts and libkrun's exit "
            f"status is 0; {_OTHER_WAYS}",
        )


def _variable(name: str, text: Any, rules: dict[str, Any], path: Path) -> Iterator[Finding]:
    yield from _reserved(name, path)
    if name in api.table()["reserved_env"]["kernel"]:
        yield Finding(
            "KR202",
            f"the guest's kernel takes the variable {name!r} as a parameter of its own",
            path,
            hint=f"choose another name, or {_OTHER_WAYS}",
            at_key=True,
        )
    if isinstance(text, str):
        yield from _text(text, rules, path)


def _reserved(name: str, path: Path) -> Iterator[Finding]:
    prefix = api.table()["reserved_env"]["prefixes"][0]
    if name.startswith(prefix):
        yield Finding(
            "KR202",
            f"variables that start with {prefix} belong to libkrun's init",
            path,
            hint="choose another name",
            at_key=True,
        )


def _text(text: str, rules: dict[str, Any], path: Path) -> Iterator[Finding]:
    if "\0" in text:
        yield Finding("KR202", "a NUL character ends a C string", path, hint="remove it")
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > rules.get("max_bytes", size) or size < rules.get("min_bytes", 0):
        yield Finding(
            "KR204",
            f"this has {size} bytes; libkrun takes {rules.get('min_bytes', 0)} to "
            f"{rules.get('max_bytes')}",
            path,
            hint="choose a shorter one",
        )
    charset = rules.get("charset")
    if charset is None:
        return
    row = api.table()["charsets"][charset]
    characters = allowed(row["pattern"])
    if not characters.issuperset(text):
        bad = next(c for c in text if c not in characters)
        yield Finding(
            "KR202",
            f"{name_of(bad)} cannot reach the guest unchanged",
            path,
            hint=f"allowed is {row['doc']}; {_OTHER_WAYS}",
        )


@cache
def allowed(pattern: str) -> frozenset[str]:
    """The characters of a charset's pattern, [a-b...]*."""
    characters: set[str] = set()
    ranges = pattern[1:-2]
    while ranges:
        if ranges[1:2] == "-":
            characters.update(map(chr, range(ord(ranges[0]), ord(ranges[2]) + 1)))
            ranges = ranges[3:]
        else:
            characters.add(ranges[0])
            ranges = ranges[1:]
    return frozenset(characters)


def name_of(character: str) -> str:
    """A character as a reader knows it."""
    names = {"\n": "a line break", "\t": "a tab", '"': "a double quote", " ": "a space"}
    if character in names:
        return names[character]
    code = f"U+{ord(character):04X}"
    return f"the character {code}" + (f" ({character})" if character.isprintable() else "")
