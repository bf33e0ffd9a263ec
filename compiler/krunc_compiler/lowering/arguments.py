"""A call's arguments against libkrun's API table: what the table says, and nothing else."""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.plan import kinds
from krunc_compiler.plan.operation import Kind, Operation

# The guest's kernel command line cannot carry everything; these two can.
_OTHER_WAYS = (
    "use entrypoint.script, or with a directory as root --target 1.19 or 2, whose libkrun reads a "
    "configuration file"
)


class _Ruled(NamedTuple):
    """An argument about which there is a rule that boxes can break, and the function that looks.

    `unique` names what may be given once only; `characters` is None where a text may have all.
    """

    name: str
    rules: dict[str, Any]
    look: "_Look"
    unique: str | None
    least: int
    most: int
    characters: frozenset[str] | None


# What is wrong with a value; the paths of the findings lead from there on.
_Look = Callable[[Any, _Ruled], list[Finding]]


def check(operations: list[Operation]) -> list[Finding]:
    """Tell what libkrun would refuse, garble or die of, each at the key that asked for it."""
    findings: list[Finding] = []
    seen: dict[tuple[str, Any], Path] = {}
    for operation in operations:
        for ruled in _ruled(operation.kind, operation.name):
            value = operation.args[ruled.name]
            if value is None:
                continue
            if found := ruled.look(value, ruled):
                findings += [_placed(finding, operation, ruled) for finding in found]
            if ruled.unique is None:
                continue
            path = operation.place(ruled.name)
            # One file may have many paths.
            taken = normal(value) if ruled.rules["kind"] == "socket_path" else value
            first = seen.setdefault((ruled.unique, taken), path)
            if first != path:
                findings.append(_repeated(operation.kind, ruled.unique, value, path, first))
    return findings


def _placed(finding: Finding, operation: Operation, ruled: _Ruled) -> Finding:
    """Return FINDING, of an argument of OPERATION, at its place in the box."""
    match finding.path:
        case (int(index),):
            path = operation.item_place(ruled.name, index)
        case inside:
            path = (*(operation.place(ruled.name) or operation.origin), *inside)
    return finding._replace(path=path)


def _repeated(kind: Kind, space: str, value: Any, path: Path, first: Path) -> Finding:
    why = "libkrun accepts both and the guest receives one of them"
    return Finding(
        "KR201",
        f"the {space} {value!r} is already that of {dotted(first)}",
        path,
        hint=f"choose another: {'one would hide the other' if kind == 'order' else why}",
    )


def _number(value: Any, ruled: _Ruled) -> list[Finding]:
    if ruled.least <= value <= ruled.most:
        return []
    unit = f" {ruled.rules['unit']}" if "unit" in ruled.rules else ""
    hint = f"write {ruled.least} to {ruled.most}{unit}"
    return [Finding("KR104", f"{value}{unit} is out of range", hint=hint)]


def _texts(value: Any, ruled: _Ruled) -> list[Finding]:
    findings = _count(value, ruled)
    refused = ruled.rules.get("refused", ())
    for i, text in enumerate(value):
        found = _text(text, ruled)
        if text in refused:
            message = f"the argument {text!r} ends the list: the guest's kernel drops it and all "
            found.append(Finding("KR202", f"{message}that follow", hint=_OTHER_WAYS))
        if found:
            findings += _at((i,), found)
    return findings


def _variables(value: Any, ruled: _Ruled) -> list[Finding]:
    findings = _count(value, ruled)
    # What nothing but the program reads may have any name.
    is_free = "free_names" in ruled.rules
    parameters = _kernel_parameters()
    for name, text in value.items():
        found = [] if is_free else _reserved(name)
        if name in parameters and not is_free:
            message = f"the guest's kernel takes the variable {name!r} as a parameter of its own"
            hint = f"choose another name, or {_OTHER_WAYS}"
            found.append(Finding("KR202", message, hint=hint, at_key=True))
        found += _text(text, ruled) if isinstance(text, str) else _secret(text)
        if found:
            findings += _at((name,), found)
    return findings


def _secret(value: dict[str, Any]) -> list[Finding]:
    return _text(value["from_file"], _path()) if "from_file" in value else []


def _names(value: Any, ruled: _Ruled) -> list[Finding]:
    """Check the names of flags, each of which is given once."""
    seen: dict[str, int] = {}
    return [
        Finding("KR201", f"{name!r} is here twice", (i,), hint="leave one out")
        for i, name in enumerate(value)
        if seen.setdefault(name, i) != i
    ]


def _content(value: Any, _: _Ruled) -> list[Finding]:
    """Check a content: the path of a file, or the program, key by key."""
    if "file" in value:
        return _text(value["file"], _path())
    if "process" not in value:
        return []
    process = value["process"]
    findings = _at(("workdir",), _readable(process["cwd"]))
    for i, text in enumerate(process["args"]):
        findings += _at(("args", i - 1) if i else ("executable",), _readable(text))
    for name, text in process["env"].items():
        found = _reserved(name) + (_readable(text) if isinstance(text, str) else _secret(text))
        findings += _at(("env", name), found)
    return findings


def _at(path: Path, findings: list[Finding]) -> list[Finding]:
    return [finding._replace(path=path) for finding in findings]


def _readable(text: str) -> list[Finding]:
    rules = api.table()["guest_configuration"]
    bad = next((c for c in text if c < " " and c not in rules["controls"]), None)
    if bad is None:
        return []
    message = f"{name_of(bad)} cannot reach the guest unchanged"
    return [Finding("KR202", message, hint=f"use entrypoint.script: {rules['doc']}")]


def _count(value: Any, ruled: _Ruled) -> list[Finding]:
    most = ruled.rules.get("max_items")
    if most is None or len(value) <= most:
        return []
    if "command_line" not in ruled.rules:
        return _items(value, ruled)
    why = "with more, the kernel gives up before the program starts, and libkrun's exit code is 0"
    message = f"{len(value)} are too many; the guest's kernel takes {most}"
    return [Finding("KR203", message, hint=f"{_OTHER_WAYS}; {why}")]


def _items(value: Any, ruled: _Ruled) -> list[Finding]:
    most = ruled.rules.get("max_items", len(value))
    if len(value) <= most:
        return []
    hint = f"write {most} of them at most"
    return [Finding("KR203", f"{len(value)} are too many; a plan holds {most}", hint=hint)]


@cache
def _kernel_parameters() -> frozenset[str]:
    return frozenset(api.table()["reserved_env"]["kernel"])


@cache
def _reserved_prefix() -> str:
    prefix: str = api.table()["reserved_env"]["prefixes"][0]
    return prefix


def _reserved(name: str) -> list[Finding]:
    prefix = _reserved_prefix()
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
        # What is not on the guest's kernel command line has no other way.
        other = f"; {_OTHER_WAYS}" if "command_line" in ruled.rules else ""
        hint = f"write {row['doc']}{other}"
        findings.append(Finding("KR202", message, hint=hint))
    return findings


def _nothing(_: Any, __: _Ruled) -> list[Finding]:
    return []


_LOOKS: dict[str, _Look] = {
    "int": _number,
    "text": _text,
    "host_path": _text,
    "socket_path": _text,
    "texts": _texts,
    "flags": _names,
    "port_map": _items,
    "published": _items,
    "env": _variables,
    "bytes": _content,
}


@cache
def _ruled(kind: str, name: str) -> list[_Ruled]:
    """Return the arguments of an operation that are looked at."""
    found = []
    for param in api.params(kind, name):
        if param.kind in _LOOKS or "unique" in param.rules:
            found.append(_rules_of(param))
    return found


def _rules_of(param: api.Param) -> _Ruled:
    rules = param.rules
    if param.kind in api.PATH_KINDS:
        rules = {**kinds.rules("host_path"), **rules}
    least, most = ("min", "max") if param.kind == "int" else ("min_bytes", "max_bytes")
    bounds = rules.get(least, 0), rules.get(most, sys.maxsize)
    row = api.table()["charsets"][rules["charset"]] if "charset" in rules else None
    characters = allowed(row["pattern"]) if row is not None else None
    look = _LOOKS.get(param.kind, _nothing)
    return _Ruled(param.name, rules, look, rules.get("unique"), *bounds, characters)


@cache
def _path() -> _Ruled:
    """Return the rules of a path of the host that stands within an argument."""
    return _rules_of(api.Param("path", "host_path", {}))


@cache
def allowed(pattern: str) -> frozenset[str]:
    """Return the characters of a charset's pattern, [a-b...]*."""
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
    """Return a character as a reader knows it."""
    names = {"\n": "a newline", "\t": "a tab", '"': "a double quote", " ": "a space"}
    if character in names:
        return names[character]
    code = f"U+{ord(character):04X}"
    return f"the character {code}" + (f" ({character})" if character.isprintable() else "")
