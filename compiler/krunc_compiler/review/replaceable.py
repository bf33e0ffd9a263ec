"""What a plan names below a directory that its guest may write: the guest can put something else
there, which the next launch then opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import UPS, lying_in, normal
from krunc_compiler.plan.operation import KINDS, Operation
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.words import word


def replaceable(operations: list[dict[str, Any]]) -> Iterator[Fact]:
    """Yield a fact for each path that the guest can replace, and one where the plan is such."""
    written = {
        normal(path): (path, index)
        for index, row in reversed(list(enumerate(operations)))
        for path, writes in _named(row)
        if writes
    }
    for up in UPS:
        if up in written:
            path, index = written[up]
            text = f"this plan, for it can write to {word(path)}"
            reach = frozenset({Reach("replace", "plan", up)})
            origin = operations[index]["from"]
            yield Fact("replace", ("replace", "plan", up), text, origin, index, reach)
    seen = set()
    for index, row in enumerate(operations if written else ()):
        for path, _ in _named(row):
            above = next((written[one] for one in lying_in(path) if one in written), None)
            if above is None or normal(path) in seen:
                continue
            seen.add(normal(path))
            text = f"{word(path)}, for it can write to {word(above[0])}"
            reach = frozenset({Reach("replace", "path", normal(path))})
            yield Fact("replace", ("replace", normal(path)), text, row["from"], index, reach)


def _named(row: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the paths of the host that ROW opens, and whether each is a directory that the guest
    may write. What is demanded of the host are paths of other operations."""
    kind = next(one for one in KINDS if one in row)
    name, args = row[kind], row.get("args", {})
    known: Any = {"call": api.functions(), "step": api.actions(), "order": api.orders()}
    if name not in known.get(kind, ()):
        return
    for param, path in Operation(kind, name, args=args).paths():
        how = api.opening(param, args) if "opens" in param.rules else "read"
        yield path, param.rules.get("target") == "directory" and how != "read"
    for value in args.values():
        yield from ((path, False) for path in _secrets(value))


def _secrets(value: Any) -> Iterator[str]:
    """Yield the files of which the launcher reads what the program gets."""
    if isinstance(value, dict):
        if isinstance(value.get("from_file"), str):
            yield value["from_file"]
        for inner in value.values():
            yield from _secrets(inner)
