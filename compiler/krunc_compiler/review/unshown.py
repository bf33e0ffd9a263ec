"""Operations whose change no fact shows: what it is, and how it is told."""

from __future__ import annotations

import json
from typing import Any, Literal

from krunc_compiler.plan.ordered import kind_of
from krunc_compiler.review.facts.table import READINGS, SILENT, UNSHOWN
from krunc_compiler.review.words import word

Unshown = Literal["alters", "neutral"]


def by_itself(row: dict[str, Any]) -> Unshown:
    """Tell what it is that an operation comes or goes."""
    kind = kind_of(row)
    # What is read is shown by its facts; what tells nothing has a reason.
    return "neutral" if row[kind] in READINGS[kind] or row[kind] in SILENT else "alters"


def between(was: dict[str, Any], now: dict[str, Any]) -> Unshown:
    """Tell what it is that an operation has other arguments.

    Some facts say of several values only what they have in common, so it alters without a reason.
    """
    kind = kind_of(now)
    if now[kind] not in READINGS[kind]:
        return by_itself(now)
    untold = all((now[kind], name) in UNSHOWN for name in _names(was, now))
    return "neutral" if untold else "alters"


def differing(was: dict[str, Any], now: dict[str, Any]) -> str:
    """Return what differs between two rows of a plan for a sentence."""
    old, new = _values(was), _values(now)
    parts = [
        f"{name} {brief(old.get(name))} -> {brief(new.get(name))}" for name in _names(was, now)
    ]
    return "; ".join(parts) or "another order of keys"


def _names(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    old, new = _values(was), _values(now)
    names = [name for name in dict.fromkeys([*new, *old]) if name not in ("args", "from")]
    return [name for name in names if old.get(name) != new.get(name)]


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **row.get("args", {})}


def demand(row: dict[str, Any]) -> str:
    """Return what a step demands of the host for a sentence."""
    return " ".join([row["step"], *(word(str(value)) for value in row.get("args", {}).values())])


def brief(value: Any) -> str:
    """Return a JSON value as one word of a sentence."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return word(text)
