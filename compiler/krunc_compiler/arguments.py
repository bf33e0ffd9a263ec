"""A call's arguments against libkrun's API table: what the table says, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler import api
from krunc_compiler.findings import Finding, Path, dotted
from krunc_compiler.operation import Operation

# The guest's kernel command line cannot carry everything; these two can.
_OTHER_WAYS = (
    "use entrypoint.script, or with a folder as root --target 1.19 or 2, whose libkrun reads a "
    "configuration file"
)


class _Ruled(NamedTuple):
    """An argument about which there is a rule that boxes can break; `characters` is None where all
    may stand in its texts."""

    name: str
    kind: str
    rules: dict[str, Any]
    least: int
    most: int
    characters: frozenset[str] | None


def check(operations: list[Operation]) -> list[Finding]:
    """What libkrun would refuse, garble or die of, each at the key that asked for it."""
    findings: list[Finding] = []
    seen: dict[tuple[str, Any], Path] = {}
    for operation in operations:
        for ruled in _ruled(operation.kind, operation.name):
            value = operation.args[ruled.name]
            if value is None:
                continue
            findings += _check(operation, ruled, value)
            space = ruled.rules.get("unique")
            if space is None:
                continue
            path = operation.place(ruled.name)
            first = seen.setdefault((space, value), path)
            if first != path:
                findings.append(_repeated(space, value, path, first))
    return findings


@cache
def _ruled(kind: str, name: str) -> list[_Ruled]:
    found = []
    for param in api.params(kind, name):
        if param.kind not in _RULED and "unique" not in param.rules:
            continue
        least, most = ("min", "max") if param.kind == "int" else ("min_bytes", "max_bytes")
        bounds = param.rules.get(least, 0), param.rules.get(most, sys.maxsize)
        charset = param.rules.get("charset")
        row = api.table()["charsets"][charset] if charset is not None else None
        characters = allowed(row["pattern"]) if row is not None else None
        found.append(_Ruled(param.name, param.kind, param.rules, *bounds, characters))
    return found


_RULED = ("int", "text", "host_path", "socket_path", "texts", "env", "bytes")


def _repeated(space: str, value: Any, path: Path, first: Path) -> Finding:
    return Finding(
        "KR201",
        f"the {space} {value!r} is already that of {dotted(first)}",
        path,
        hint="libkrun accepts both and the guest gets one of them; choose another",
    )


def _check(operation: Operation, ruled: _Ruled, value: Any) -> list[Finding]:
    """What is wrong with one argument. Where it stands is looked up when something is."""
    match ruled.kind:
        case "text" | "host_path" | "socket_path":
            return _at(_path(operation, ruled), _text(value, ruled))
        case "int":
            if ruled.least <= value <= ruled.most:
                return []
            unit = f" {ruled.rules['unit']}" if "unit" in ruled.rules else ""
            message = f"{value}{unit} is out of range"
            hint = f"allowed: {ruled.least} to {ruled.most}{unit}"
            return [Finding("KR104", message, _path(operation, ruled), hint)]
        case "texts":
            findings = _at(_path(operation, ruled), _count(value, ruled))
            for i, text in enumerate(value):
                if found := _text(text, ruled) + _refused(text, ruled):
                    findings += _at(operation.item_place(ruled.name, i), found)
            return findings
        case "env":
            findings = _at(_path(operation, ruled), _count(value, ruled))
            for name, text in value.items():
                if found := _variable(name, text, ruled):
                    findings += _at((*_path(operation, ruled), name), found)
            return findings
        case "bytes":
            return list(_content(value, _path(operation, ruled)))
        case _:
            return []


def _path(operation: Operation, ruled: _Ruled) -> Path:
    return operation.place(ruled.name) or operation.origin


def _at(path: Path, findings: list[Finding]) -> list[Finding]:
    return [finding._replace(path=path) for finding in findings]


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
        yield from _at(where, _reserved(name))
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


def _count(value: Any, ruled: _Ruled) -> list[Finding]:
    most = ruled.rules.get("max_items")
    if most is None or len(value) <= most:
        return []
    return [
        Finding(
            "KR203",
            f"{len(value)} are too many; the guest's kernel takes {most}",
            hint="with more, the kernel gives up before the program starts and libkrun's exit "
            f"status is 0; {_OTHER_WAYS}",
        )
    ]


def _refused(text: str, ruled: _Ruled) -> list[Finding]:
    if text not in ruled.rules.get("refused", ()):
        return []
    message = (
        f"the argument {text!r} ends the list: the guest's kernel drops it and all that follow"
    )
    return [Finding("KR202", message, hint=_OTHER_WAYS)]


def _variable(name: str, text: Any, ruled: _Ruled) -> list[Finding]:
    findings = _reserved(name)
    if name in _kernel_parameters():
        findings.append(
            Finding(
                "KR202",
                f"the guest's kernel takes the variable {name!r} as a parameter of its own",
                hint=f"choose another name, or {_OTHER_WAYS}",
                at_key=True,
            )
        )
    return findings + _text(text, ruled) if isinstance(text, str) else findings


@cache
def _kernel_parameters() -> frozenset[str]:
    return frozenset(api.table()["reserved_env"]["kernel"])


def _reserved(name: str) -> list[Finding]:
    prefix = api.table()["reserved_env"]["prefixes"][0]
    if not name.startswith(prefix):
        return []
    message = f"variables that start with {prefix} belong to libkrun's init"
    return [Finding("KR202", message, hint="choose another name", at_key=True)]


def _text(text: str, ruled: _Ruled) -> list[Finding]:
    if "\0" in text:
        return [Finding("KR202", "a NUL character ends a C string", hint="remove it")]
    findings = []
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if not ruled.least <= size <= ruled.most:
        bounds = f"{ruled.least} to {ruled.rules.get('max_bytes')}"
        message = f"this has {size} bytes; libkrun takes {bounds}"
        findings.append(Finding("KR204", message, hint="choose a shorter one"))
    if ruled.characters is not None and not ruled.characters.issuperset(text):
        bad = next(c for c in text if c not in ruled.characters)
        row = api.table()["charsets"][ruled.rules["charset"]]
        message = f"{name_of(bad)} cannot reach the guest unchanged"
        hint = f"allowed is {row['doc']}; {_OTHER_WAYS}"
        findings.append(Finding("KR202", message, hint=hint))
    return findings


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
