"""What a plan names below a directory that its guest may write: the guest can put something else
there, which the next launch then opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from krunc_compiler.files.hostpath import UPS, lying_in, normal
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.words import word


class _Opened(NamedTuple):
    """A path that an operation opens: as it is written, in its one form, the directories that it
    lies in, and whether it is one that the guest may write."""

    path: str
    place: str
    above: tuple[str, ...]
    writes: bool


def replaceable(operations: Sequence[Ordered]) -> Iterator[Fact]:
    """Yield a fact for each path that the guest can replace, and one where the plan is such."""
    opening = [(index, row) for index, row in enumerate(operations) if row.opens]
    written = {
        one.place: (one.path, index)
        for index, row in reversed(opening)
        for one in row.once(_opened)
        if one.writes
    }
    for up in UPS if written else ():
        if up in written:
            path, index = written[up]
            text = f"this plan, for it can write to {word(path)}"
            reach = frozenset({Reach("replace", "plan", up)})
            origin = operations[index]["from"]
            yield Fact("replace", ("replace", "plan", up), text, origin, index, reach)
    seen = set()
    for index, row in opening if written else ():
        for one in row.once(_opened):
            if written.keys().isdisjoint(one.above) or one.place in seen:
                continue
            above = next(written[directory] for directory in one.above if directory in written)
            seen.add(one.place)
            text = f"{word(one.path)}, for it can write to {word(above[0])}"
            reach = frozenset({Reach("replace", "path", one.place)})
            yield Fact("replace", ("replace", one.place), text, row["from"], index, reach)


def _opened(row: Ordered) -> list[_Opened]:
    return [_Opened(path, normal(path), lying_in(path), writes) for path, writes in row.opens]
