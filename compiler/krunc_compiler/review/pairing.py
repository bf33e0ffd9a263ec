"""Which fact of an old plan became which of a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.review.fact import BY_NAME, Fact
from krunc_compiler.review.summary import Review


def paired(old: Review | None, new: Review | None) -> Iterator[tuple[Fact | None, Fact | None]]:
    """Yield what both say of each subject, in the order of the old plan."""
    sides = [side.facts() if side else () for side in (old, new)]
    # Most plans say as much of the same as what became of them.
    if _in_step(sides):
        yield from zip(*sides, strict=True)
        return
    before, after = _subjects(old), _subjects(new)
    for subject in dict.fromkeys([*before, *after]):
        yield before.get(subject), after.get(subject)


def _in_step(sides: list[tuple[Fact, ...]]) -> bool:
    """Tell whether each fact is about what that at its place of the other side is."""
    return len(sides[0]) == len(sides[1]) and all(
        was is now or _about(was) == _about(now) for was, now in zip(*sides, strict=True)
    )


def _about(fact: Fact) -> tuple[str, tuple[str, ...]]:
    return BY_NAME[fact.kind].group, fact.subject


def _subjects(review: Review | None) -> dict[tuple[Any, ...], Fact]:
    """Return the facts by what they are about; a number tells those with one subject apart."""
    seen: dict[tuple[Any, ...], int] = {}
    found = {}
    for fact in review.facts() if review else ():
        subject = _about(fact)
        number = seen.get(subject, 0)
        seen[subject] = number + 1
        found[subject, number] = fact
    return found


def same(was: Fact, now: Fact) -> bool:
    """Tell whether both say and reach the same. What of the sentence is a value is no difference
    that a reader sees."""
    return (was.kind, was.text, was.reach, was.held) == (
        now.kind,
        now.text,
        now.reach,
        now.held,
    )
