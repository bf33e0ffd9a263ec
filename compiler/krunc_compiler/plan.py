"""The plan: its head, its operations, and its text with one operation a line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from krunc_compiler import api
from krunc_compiler.api import Target, Version
from krunc_compiler.box import Box
from krunc_compiler.findings import dotted
from krunc_compiler.hostpath import seen_from
from krunc_compiler.operation import Operation
from krunc_compiler.sha256 import hexdigest

FORMAT = 1


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


def make(box: Box, target: Target, meaning: Any, operations: list[Operation]) -> Plan:
    """The plan of BOX; MEANING is its value with variables and expressions worked out."""
    canonical = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Plan(
        box=box.name,
        target=str(target),
        era=target.era,
        requires=_requires(target, operations),
        digest="sha256:" + hexdigest(canonical.encode("utf-8", "surrogatepass")),
        operations=tuple(_row(operation) for operation in operations),
        labels=box.labels,
        waivers=tuple({"rule": one.rule, "reason": one.reason} for one in box.waivers),
    )


def to_text(plan: Plan) -> str:
    """The text of a plan: the same bytes wherever it is made."""
    # One encoder for all is much the quickest. In JSON a quote inside a text has a backslash before
    # it, and no list in an operation holds objects: this stands between operations only.
    rows = _BETWEEN.sub(",\n", _json(plan.operations)[1:-1])
    head = {
        "krunc_plan": FORMAT,
        "box": plan.box,
        "target": plan.target,
        "api": plan.era,
        "requires": plan.requires,
        "digest": plan.digest,
        **({"labels": plan.labels} if plan.labels else {}),
        **({"waivers": plan.waivers} if plan.waivers else {}),
    }
    lines = "".join(f'"{key}": {_json(value)},\n' for key, value in head.items())
    return f'{{\n{lines}"operations": [\n{rows}\n]\n}}\n'


def moved(operations: list[Operation], prefix: str) -> list[Operation]:
    """OPERATIONS with relative host paths seen from the plan's folder.

    PREFIX is the way from there to the box's folder, `.` when they are the same.
    """
    return [
        operation._replace(args=_moved(operation, prefix))
        if api.paths(operation.kind, operation.name) or any(map(operation.args.__contains__, _LATE))
        else operation
        for operation in operations
    ]


_LATE = ("envp", "data")  # where paths of secrets stand


def _moved(operation: Operation, prefix: str) -> dict[str, Any]:
    args = dict(operation.args)
    for param, path in operation.paths():
        if path != (path := seen_from(prefix, path)):
            args[param.name] = {"file": path} if param.kind == "bytes" else path
    if isinstance(args.get("envp"), dict):
        args["envp"] = _moved_secrets(args["envp"], prefix)
    if "process" in args.get("data", ()):
        process = args["data"]["process"]
        args["data"] = {"process": {**process, "env": _moved_secrets(process["env"], prefix)}}
    return args


def _moved_secrets(env: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name: {"from_file": seen_from(prefix, value["from_file"])}
        if isinstance(value, dict) and "from_file" in value
        else value
        for name, value in env.items()
    }


_BETWEEN = re.compile(r'(?<=\}), (?=\{"(?:call|step|implicit)": )')
# json.dumps would make an encoder for each of them.
_json = json.JSONEncoder(ensure_ascii=False).encode


def _row(operation: Operation) -> dict[str, Any]:
    row: dict[str, Any] = {operation.kind: operation.name}
    if operation.args:
        row["args"] = operation.args
    if operation.warn:
        row["on_failure"] = "warn"
    row["from"] = dotted(operation.origin) or "default"
    return row


def needs(operation: Operation) -> Version:
    """The libkrun version from which OPERATION, with its arguments, exists."""
    newest = api.functions()[operation.name].since
    for argument, newer in _newer(operation.name):
        value = operation.args[argument]
        for name in value if isinstance(value, list) else [value]:
            newest = max(newest, newer.get(name, newest))
    return newest


@cache
def _newer(function: str) -> list[tuple[str, dict[str, Version]]]:
    """The values of arguments that came after FUNCTION itself, or may have."""
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
    return found


def _requires(target: Target, operations: list[Operation]) -> dict[str, Any]:
    calls = [operation for operation in operations if operation.kind == "call"]
    floor = api.version(api.table()["eras"][target.era]["first"])
    newest = max([floor, *map(needs, calls)])
    features = {api.functions()[call.name].feature for call in calls}
    because = [
        {"call": call.name, "from": dotted(call.need or call.origin) or "default"}
        for call in calls
        if needs(call) == newest and newest > floor
    ]
    return {
        "libkrun": api.dots(newest),
        "features": sorted(feature for feature in features if feature),
        "because": because,
    }
