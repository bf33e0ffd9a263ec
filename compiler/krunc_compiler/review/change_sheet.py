"""The sheet of a difference, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.review.difference import EFFECTS, Change, Difference
from krunc_compiler.review.document import fact_document
from krunc_compiler.review.plan_sheet import operation
from krunc_compiler.review.sheet import Line, Section, Sheet
from krunc_compiler.review.summary import Review, kind_of
from krunc_compiler.review.words import word

FORMAT = 1
_TITLES = {
    "opens": "Opens: reaches more of the host",
    "alters": "Alters: what runs in the guest, or what it finds there",
    "narrows": "Narrows: reaches less of the host",
    "neutral": "Neutral: reaches the same",
}


def change_sheet(difference: Difference) -> Sheet:
    """The changes by effect, the worst first, then the operations that differ."""
    old, new = difference.old, difference.new
    either = new or old
    sections = [
        Section(
            _TITLES[effect],
            tuple(
                Line(change.kind, change.text, word(change.origin) if change.origin else "", effect)
                for change in difference.of(effect)
            ),
            long=effect == "neutral",
        )
        for effect in EFFECTS
        if difference.of(effect)
    ]
    differing = tuple(_operations(difference))
    if differing:
        sections.append(Section("Operations that differ", differing, long=True))
    return Sheet(
        word(either.value["box"]) if either else "nothing",
        counted(difference),
        (Line("old", _digest(old)), Line("new", _digest(new))),
        tuple(sections),
    )


def counted(difference: Difference) -> str:
    """3 changes open, 2 alter, 1 narrows, 2 are neutral."""
    if not difference.changes:
        return "no change in meaning"
    opens, alters, narrows, neutral = (len(difference.of(effect)) for effect in EFFECTS)
    parts = [
        (opens, "opens", "open"),
        (alters, "alters", "alter"),
        (narrows, "narrows", "narrow"),
        (neutral, "is neutral", "are neutral"),
    ]
    text = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in parts)
    total = len(difference.changes)
    return f"{total} change{'s' if total > 1 else ''} in meaning: {text}"


def _digest(review: Review | None) -> str:
    return review.digest if review else "there is no plan"


def _operations(difference: Difference) -> Iterator[Line]:
    old = difference.old.operations if difference.old else []
    new = difference.new.operations if difference.new else []
    for pair in difference.pairs:
        if pair.old is not None and pair.new is not None and not pair.changed:
            row = new[pair.new]
            text = f"moved, before number {pair.old + 1}: {operation(row)}"
            yield Line(f"> {pair.new + 1:>3} {kind_of(row)}", text, word(row["from"]))
            continue
        for sign, index, rows in (("-", pair.old, old), ("+", pair.new, new)):
            if index is not None:
                row = rows[index]
                label = f"{sign} {index + 1:>3} {kind_of(row)}"
                yield Line(label, operation(row), word(row["from"]))


def difference_document(difference: Difference) -> dict[str, Any]:
    """DIFFERENCE as a JSON value; schema/krunc_schema/diff.schema.json describes it."""
    return {
        "krunc_diff": FORMAT,
        "old": _side(difference.old),
        "new": _side(difference.new),
        "summary": {effect: len(difference.of(effect)) for effect in EFFECTS},
        "changes": [_change(change) for change in difference.changes],
        "operations": [
            {"old": pair.old, "new": pair.new, "changed": pair.changed, "moved": pair.moved}
            for pair in difference.pairs
        ],
    }


def _side(review: Review | None) -> dict[str, Any] | None:
    return {"digest": review.digest, "plan": review.value} if review else None


def _change(change: Change) -> dict[str, Any]:
    return {
        "effect": change.effect,
        "kind": change.kind,
        "text": change.text,
        "from": change.origin or None,
        "old": fact_document(change.old) if change.old else None,
        "new": fact_document(change.new) if change.new else None,
    }
