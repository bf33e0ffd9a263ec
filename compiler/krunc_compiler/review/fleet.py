"""What changes between many plans and many others: each change once, with the plans that have it.

Plans that differ from the rest of their family, those whose names differ by numbers alone, are told
apart: a change that is not one of the rest's stands first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from krunc_compiler.review.alike import Said, Variables, alike
from krunc_compiler.review.breadth import breadth
from krunc_compiler.review.change_sheet import details
from krunc_compiler.review.difference import EFFECTS, MORE_KINDS, Difference, Effect
from krunc_compiler.review.fact import RANK
from krunc_compiler.review.names import are_all_told, family_of
from krunc_compiler.review.sheet import Detail

Status = Literal["changed", "added", "removed", "renamed", "unchanged"]
STATUSES: tuple[Status, ...] = ("changed", "added", "removed", "renamed", "unchanged")
# In fewer plans there is no rest to differ from.
_REST = 3
# Of one key and kind that many are told; the others are counted. Not so of what widens or changes
# what runs: one that matters could stand behind many that do not.
_MOST = 20
_COUNTED: tuple[Effect, ...] = ("narrows", "neutral")
_RANK = {**RANK, **{kind: len(RANK) + i for i, kind in enumerate(MORE_KINDS)}}


class Told(NamedTuple):
    """A change of one plan, as it is told, and what it sorts by."""

    effect: Effect
    kind: str
    sentence: str
    origin: str
    breadth: tuple[int, int]
    details: tuple[Detail, ...] = ()


class PlanChange(NamedTuple):
    """What became of one plan: its name, its digests, the name that it had."""

    name: str
    status: Status
    old: str | None
    new: str | None
    told: tuple[Told, ...] = ()
    before: str = ""


class Row(NamedTuple):
    """A change with the plans that have it. It is `unlike` when it is none of the rest's. `others`
    counts the texts that it stands for besides its own."""

    status: Status
    effect: Effect
    kind: str
    sentence: str
    origin: str
    plans: tuple[str, ...]
    breadth: tuple[int, int]
    details: tuple[Detail, ...]
    unlike: bool = False
    others: int = 0


class Lack(NamedTuple):
    """Plans that do not change as the rest of their family does in one ROW."""

    row: Row
    plans: tuple[str, ...]


class Fleet(NamedTuple):
    """All that changed, and the plans of which it is told."""

    plans: tuple[PlanChange, ...]
    rows: tuple[Row, ...]
    lacks: tuple[Lack, ...]

    def named(self, status: Status) -> list[str]:
        """Return the names of the plans of which STATUS is true."""
        return [plan.name for plan in self.plans if plan.status == status]

    def differs(self) -> bool:
        """Tell whether anything is not as it was."""
        return any(plan.status != "unchanged" for plan in self.plans)


def told(difference: Difference) -> tuple[Told, ...]:
    """Return the changes of one plan; little of it is kept, for there may be many."""
    return tuple(
        Told(
            change.effect,
            change.kind,
            change.sentence,
            change.origin,
            breadth(change.old, change.new),
            tuple(details(change)) if change.texts else (),
        )
        for change in difference.changes
    )


def fleet(plans: Iterable[PlanChange], variables: Variables | None = None) -> Fleet:
    """Return what changed in PLANS, the worst first; VARIABLES are those of each plan that is of a
    matrix."""
    every = tuple(plans)
    rows: list[Row] = []
    lacks: list[Lack] = []
    for status in STATUSES:
        some = [plan for plan in every if plan.status == status]
        found = list(_rows(status, some, variables or {}))
        usual, missing = _usual(some, found)
        found = [row._replace(unlike=i not in usual) for i, row in enumerate(found)]
        lacks += [Lack(found[i], tuple(names)) for i, names in missing.items()]
        rows += _folded(found)
    rows.sort(key=_order)
    return Fleet(every, tuple(rows), tuple(lacks))


def _order(row: Row) -> tuple[object, ...]:
    rank = (EFFECTS.index(row.effect), not row.unlike, _RANK[row.kind])
    return (*rank, row.breadth, bool(row.others), len(row.plans), row.sentence)


def _rows(status: Status, plans: Sequence[PlanChange], variables: Variables) -> Iterator[Row]:
    """Yield what PLANS say, once each."""
    found: dict[tuple[object, ...], list[Said]] = {}
    first: dict[tuple[object, ...], Told] = {}
    wide: dict[tuple[tuple[object, ...], str], tuple[int, int]] = {}
    for plan in plans:
        for one in plan.told:
            key: tuple[object, ...] = (one.effect, one.kind, one.origin, one.details)
            found.setdefault(key, []).append(Said(plan.name, one.sentence))
            first.setdefault(key, one)
            at = (key, one.sentence)
            wide[at] = min(one.breadth, wide.get(at, one.breadth))
    for key, said in found.items():
        one = first[key]
        for group in alike(said, variables, are_all_told):
            names = tuple(dict.fromkeys(group.plans))
            # A text with variables is as wide as the widest that it stands for.
            width = min(wide[key, text] for text in group.texts)
            yield Row(
                status, one.effect, one.kind, group.text, one.origin, names, width, one.details
            )


def _usual(
    plans: Sequence[PlanChange], rows: Sequence[Row]
) -> tuple[set[int], dict[int, list[str]]]:
    """Return which of ROWS the rest has, and of those which plans lack them. Without a rest all are
    usual."""
    having: dict[str, list[int]] = {plan.name: [] for plan in plans}
    for i, row in enumerate(rows):
        for name in row.plans:
            having[name].append(i)
    families: dict[str, list[str]] = {}
    for name in having:
        families.setdefault(family_of(name), []).append(name)
    usual: set[int] = set()
    lacks: dict[int, list[str]] = {}
    small: list[str] = []
    for names in families.values():
        if len(names) < _REST:
            small += names
            continue
        (main, count), *_ = Counter(tuple(having[name]) for name in names).most_common(1)
        if 2 * count <= len(names):
            usual.update(i for name in names for i in having[name])
            continue
        usual.update(main)
        for name in names:
            own = {_subject(rows[i]) for i in having[name]}
            for i in main:
                if i not in having[name] and _subject(rows[i]) not in own:
                    lacks.setdefault(i, []).append(name)
    if not usual:
        usual.update(i for name in small for i in having[name])
    return usual, lacks


def _subject(row: Row) -> tuple[str, str, str]:
    return row.effect, row.kind, row.origin


def _folded(rows: list[Row]) -> Iterator[Row]:
    """Yield ROWS; of those about one key and kind the worst, and one that counts the others."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*_subject(row), row.unlike), []).append(row)
    for group in groups.values():
        group.sort(key=_order)
        most = _MOST if group[0].effect in _COUNTED else len(group)
        yield from group[:most]
        if left := group[most:]:
            names = tuple(dict.fromkeys(name for row in left for name in row.plans))
            yield left[0]._replace(plans=names, details=(), others=len(left) - 1)
