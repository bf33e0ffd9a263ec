"""The plan: its head, its operations, and its text with one operation a line."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import seen_from
from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.findings.finding import Path, dotted
from krunc_compiler.libkrun import Target, Version
from krunc_compiler.plan.operation import KINDS, Operation
from krunc_compiler.text.unseen import escaped

if TYPE_CHECKING:
    # Who reads a plan has no box, and need not import what one is.
    from krunc_compiler.box.box import Box

FORMAT: int = load("plan")["format"]


class Plan(NamedTuple):
    """A plan as it is written: plain values, with the operations as in the file."""

    box: str
    target: str
    era: str
    requires: dict[str, Any]
    digest: str
    operations: tuple[dict[str, Any], ...]
    labels: Mapping[str, str] = MappingProxyType({})
    waivers: tuple[dict[str, str], ...] = ()


def make(
    box: "Box", target: Target, meaning: Any, operations: list[Operation], prefix: str
) -> Plan:
    """Return the plan of BOX; MEANING is its value with variables and expressions worked out.

    PREFIX is the way from the plan's directory to the box's, `.` when they are the same.
    """
    canonical = _canonical(meaning)
    return Plan(
        box=box.name,
        target=str(target),
        era=target.era,
        requires=_required(target.era, operations),
        digest="sha256:" + hexdigest(canonical.encode("utf-8", "surrogatepass")),
        operations=tuple([_row(operation, prefix) for operation in operations]),
        labels=box.labels,
        waivers=tuple({"rule": one.rule, "reason": one.reason} for one in box.waivers),
    )


def to_text(plan: Plan) -> str:
    """Return the text of a plan: the same bytes wherever it is made."""
    # One encoder for all is much the quickest. In JSON a quote inside a text has a backslash before
    # it, and no list in an operation holds objects: this stands between operations only.
    rows = _json(plan.operations)[1:-1]
    for between, lines in _BETWEEN:
        rows = rows.replace(between, lines)
    lines = "".join(f'"{key}": {_json(value)},\n' for key, value in _metadata(plan).items())
    return escaped(f'{{\n{lines}"operations": [\n{rows}\n]\n}}\n')


def value_of(plan: Plan) -> dict[str, Any]:
    """Return the JSON value of a PLAN that was read, as `to_text` writes it."""
    return {**_metadata(plan), "operations": list(plan.operations)}


def _metadata(plan: Plan) -> dict[str, Any]:
    """Return what stands before the operations of PLAN, in order."""
    return {
        "krunc_plan": FORMAT,
        "box": plan.box,
        "target": plan.target,
        "api": plan.era,
        "requires": plan.requires,
        "box_digest": plan.digest,
        **({"labels": plan.labels} if plan.labels else {}),
        **({"waivers": list(plan.waivers)} if plan.waivers else {}),
    }


def moved(plan: Plan, prefix: str) -> Plan:
    """Return PLAN with its relative host paths seen from where PREFIX starts, which leads to it."""
    rows = []
    for row in plan.operations:
        kind = next((one for one in KINDS if one in row and "args" in row), None)
        args = _moved(kind, row[kind], row["args"], prefix) if kind else None
        rows.append(row if args is None else {**row, "args": args})
    return plan._replace(operations=tuple(rows))


def _moved(kind: str, name: str, given: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    """Return the arguments GIVEN to an operation with relative host paths seen from where PREFIX
    starts."""
    params = _with_paths(kind, name)
    if not params:
        return given
    args = dict(given)
    for param in params:
        value = args.get(param.name)
        if isinstance(value, str):
            args[param.name] = seen_from(prefix, value)
        elif isinstance(value, dict):
            args[param.name] = _moved_inside(value, param.kind, prefix)
    return args


@cache
def _with_paths(kind: str, name: str) -> tuple[api.Param, ...]:
    """Return the arguments that may name something of the host: paths, contents, variables for
    secrets."""
    return (*api.paths(kind, name), *(p for p in api.params(kind, name) if p.kind == "env"))


def _moved_inside(value: dict[str, Any], kind: str, prefix: str) -> dict[str, Any]:
    if kind == "env":
        return _moved_secrets(value, prefix)
    if "file" in value:
        return {"file": seen_from(prefix, value["file"])}
    if "process" in value:
        process = value["process"]
        return {"process": {**process, "env": _moved_secrets(process["env"], prefix)}}
    return value


def _moved_secrets(env: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name: {"from_file": seen_from(prefix, value["from_file"])}
        if isinstance(value, dict) and "from_file" in value
        else value
        for name, value in env.items()
    }


_BETWEEN = [(f'}}, {{"{kind}": ', f'}},\n{{"{kind}": ') for kind in KINDS]
# json.dumps would make an encoder for each of them. No map or list of a box or plan holds itself,
# and to look for one takes as long as all the rest.
_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_canonical = json.JSONEncoder(
    check_circular=False, sort_keys=True, ensure_ascii=False, separators=(",", ":")
).encode


def _row(operation: Operation, prefix: str) -> dict[str, Any]:
    kind, name, origin, args, warn, _, _ = operation
    row: dict[str, Any] = {kind: name}
    if args:
        row["args"] = _moved(kind, name, args, prefix)
    if warn:
        row["on_failure"] = "warn"
    row["from"] = _told(origin)
    return row


@lru_cache(512)  # they are the same in most boxes
def _told(origin: Path) -> str:
    return dotted(origin) or "default"


def needs(operation: Operation) -> Version:
    """Return the libkrun version from which OPERATION, with its arguments, exists."""
    newest, telling = _newer(operation.name)
    for argument, newer in telling:
        value = operation.args[argument]
        for name in value if isinstance(value, list) else [value]:
            newest = max(newest, newer.get(name, newest))
    return newest


@cache
def _newer(function: str) -> tuple[Version, list[tuple[str, dict[str, Version]]]]:
    """When FUNCTION came, and the values of its arguments that came after it, or may have."""
    found = []
    for param in api.functions()[function].params:
        group = param.rules.get("enum") or param.rules.get("flags")
        if group is not None:
            named = api.enums().get(group) or api.table()["flags"][group]
            newer = {
                name: api.version(row["since"]) for name, row in named.items() if "since" in row
            }
            if newer:
                found.append((param.name, newer))
    return api.functions()[function].since, found


def required(era: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the version and the features that the head of a plan of ERA with the operations ROWS
    has to name."""
    calls = [
        Operation("call", row["call"], (), row.get("args", {})) for row in rows if "call" in row
    ]
    found = _required(era, calls)
    return {"libkrun": found["libkrun"], "features": found["features"]}


def _required(era: str, operations: Sequence[Operation]) -> dict[str, Any]:
    functions = api.functions()
    calls = [(needs(one), one) for one in operations if one.kind == "call"]
    floor = api.version(api.table()["eras"][era]["first"])
    newest = max([floor, *(since for since, _ in calls)])
    features = {functions[call.name].feature for _, call in calls}
    asking = {
        (call.name, _told(call.need or call.origin)): None
        for since, call in calls
        if since == newest and newest > floor
    }
    return {
        "libkrun": api.dots(newest),
        "features": sorted(feature for feature in features if feature),
        "because": [{"call": name, "from": key} for name, key in asking],
    }
