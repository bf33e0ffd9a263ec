"""Which operation of an old plan is which of a new one, and which of them moved."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Param
from krunc_compiler.plan.ordered import kind_of
from krunc_compiler.review.facts.storage import laid_at
from krunc_compiler.review.words import word

Identity = tuple[str, ...]


class Pair(NamedTuple):
    """An operation in both plans, or in one: the indexes; `moved` when the order changed."""

    old: int | None
    new: int | None
    changed: bool = False
    moved: bool = False


def identity(row: dict[str, Any]) -> Identity:
    """Tell what an operation is about: a share's tag, a disk's id, a port, an address, a path.

    Functions that make the same thing share it: krun_add_virtiofs and krun_add_virtiofs3.
    """
    kind = kind_of(row)
    name, args = row[kind], row.get("args", {})
    for param in _params(kind, name):
        if "unique" in param.rules and param.name in args:
            return (kind, param.rules["unique"], str(args[param.name]))
    if kind == "call":
        taken = api.table()["functions"].get(name, {}).get("takes", ())
        if taken:
            return (kind, *taken[0])
    if name == "host":
        return (kind, name, str(args.get("name")))
    if name == "nameserver":
        return (kind, name, str(args.get("address")))
    if kind == "step" and "path" in args and name != "require_image":
        return (kind, name, str(args["path"]))
    if "fs_tag" in args:
        return (kind, name, str(args["fs_tag"]), laid_at(str(args.get("path"))))
    return (kind, name)


def _params(kind: str, name: str) -> tuple[Param, ...]:
    if kind == "call":
        return api.functions()[name].params if name in api.functions() else ()
    known = {"step": api.steps(), "order": api.orders()}.get(kind, {})
    return known.get(name, ())


def named(row: dict[str, Any]) -> str:
    """Return the operation for a sentence: its name and what it is about."""
    about = identity(row)[2:]
    name: str = row[kind_of(row)]
    return " ".join(map(word, [name, *about]))


def match(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[Pair]:
    """Return the operations that are not the same in both, in order; equal meaning gives none.

    The key of the box does not count.
    """
    if _in_step(old, new):
        rows = enumerate(zip(old, new, strict=True))
        # One row may stand in both plans.
        differing = ((i, a, b) for i, (a, b) in rows if a is not b and a != b)
        return [Pair(i, i, True) for i, a, b in differing if _meaning(a) != _meaning(b)]
    places = {identity_: i for i, identity_ in enumerate(_identities(new))}
    both: list[tuple[int, int]] = []
    gone: list[Pair] = []
    for i, identity_ in enumerate(_identities(old)):
        if identity_ in places:
            both.append((i, places[identity_]))
        else:
            gone.append(Pair(i, None))
    kept = longest_rise([j for _, j in both])
    met = {j for _, j in both}
    found = [Pair(None, j) for j in range(len(new)) if j not in met]
    for i, j in both:
        changed = _meaning(old[i]) != _meaning(new[j])
        if changed or j not in kept:
            found.append(Pair(i, j, changed, j not in kept))
    return sorted(gone + found, key=_place)


def turned(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> set[int]:
    """Find the host steps of NEW, by index, that are done before an operation that they were done
    behind, or the other way round. The order of calls is that of libkrun's devices,
    which facts name."""
    if _in_step(old, new):
        return set()
    places = {identity_: i for i, identity_ in enumerate(_identities(new))}
    both = [
        (i, places[identity_])
        for i, identity_ in enumerate(_identities(old))
        if identity_ in places and _is_done(old[i])
    ]
    ranks = {j: rank for rank, j in enumerate(sorted(j for _, j in both))}
    found = set()
    highest = -1
    for place, (i, j) in enumerate(both):
        if kind_of(old[i]) == "step" and (ranks[j] != place or highest >= place):
            found.add(j)
        highest = max(highest, ranks[j])
    return found


def _in_step(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> bool:
    """Tell whether each operation is about what that at its place of the other plan is, as in most
    plans of which one became the other: then none is gone, and none has moved."""
    return len(old) == len(new) and all(
        a is b or a == b or identity(a) == identity(b) for a, b in zip(old, new, strict=True)
    )


def _is_done(row: dict[str, Any]) -> bool:
    """Tell whether an operation does something, at its place in the plan."""
    name = row.get("step")
    return "call" in row or (
        name is not None and (name in api.actions() or name not in api.steps())
    )


def _place(pair: Pair) -> tuple[int, bool]:
    return (pair.new, True) if pair.new is not None else (pair.old or 0, False)


def _meaning(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "from"}


def _identities(rows: Sequence[dict[str, Any]]) -> list[tuple[Identity, int]]:
    """Return each row's identity with a number, since a plan may say the same thing twice."""
    seen: Counter[Identity] = Counter()
    found = []
    for row in rows:
        one = identity(row)
        found.append((one, seen[one]))
        seen[one] += 1
    return found


def longest_rise(numbers: list[int]) -> set[int]:
    """Return a longest rising run of NUMBERS: what stayed while the others moved."""
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(ends, number)
        before.append(at[place - 1] if place else -1)
        ends[place : place + 1] = [number]
        at[place : place + 1] = [index]
    kept = set()
    index = at[-1] if at else -1
    while index >= 0:
        kept.add(numbers[index])
        index = before[index]
    return kept
