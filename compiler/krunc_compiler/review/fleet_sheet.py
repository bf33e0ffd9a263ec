"""The sheet of a fleet's changes, and its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from krunc_compiler.plan.fleet_digest import fleet_digest
from krunc_compiler.review.change_sheet import DOES, TITLES
from krunc_compiler.review.difference import EFFECTS
from krunc_compiler.review.fleet import STATUSES, Fleet, Row, Status
from krunc_compiler.review.names import in_words
from krunc_compiler.review.sheet import Line, Section, Sheet
from krunc_compiler.review.words import bare, marked, plain

FORMAT = 1
_IN: dict[Status, tuple[str, str]] = {
    "changed": ("plan", "plans"),
    "renamed": ("renamed plan", "renamed plans"),
    "added": ("new plan", "new plans"),
    "removed": ("plan that is gone", "plans that are gone"),
    "unchanged": ("plan", "plans"),
}
_COUNTED: dict[Status, tuple[str, str]] = {
    "changed": ("changes", "change"),
    "added": ("is new", "are new"),
    "removed": ("is gone", "are gone"),
    "renamed": ("has another name", "have other names"),
    "unchanged": ("is equivalent", "are equivalent"),
}


def fleet_sheet(fleet: Fleet, name: str) -> Sheet:
    """Return the changes of all plans, each once, those of plans that differ from the rest
    first. NAME is that of the fleet."""
    sections = []
    for effect in EFFECTS:
        rows = [row for row in fleet.rows if row.effect == effect and row.unlike]
        if rows:
            title = f"Unlike the rest: {TITLES[effect]}"
            sections.append(Section(title, tuple(map(_line, rows)), long=effect == "neutral"))
    if fleet.lacks:
        lines = tuple(
            Line(
                lack.row.kind,
                f"not as the rest: {lack.row.sentence} ({_plans(lack.plans, 'changed')})",
                bare(lack.row.origin) if lack.row.origin else "",
            )
            for lack in fleet.lacks
        )
        sections.append(Section("Unlike the rest: what changes in the others", lines))
    for effect in EFFECTS:
        rows = [row for row in fleet.rows if row.effect == effect and not row.unlike]
        if rows:
            lines = tuple(map(_line, rows))
            sections.append(Section(TITLES[effect], lines, long=effect == "neutral"))
    return Sheet(bare(name), counted(fleet), tuple(_head(fleet)), tuple(sections))


def counted(fleet: Fleet) -> str:
    """997 plans change, 2 are new; told once each, 3 widen host access, 1 changes the guest."""
    numbers = [(len(fleet.named(status)), _COUNTED[status]) for status in STATUSES]
    said = [f"{n:,} {one if n == 1 else many}" for n, (one, many) in numbers if n]
    text = f"of {len(fleet.plans):,} plans {', '.join(said)}" if said else "no plan"
    effects = [(sum(row.effect == effect for row in fleet.rows), effect) for effect in EFFECTS]
    does = [f"{n:,} {DOES[effect][n > 1]}" for n, effect in effects if n]
    return f"{text}; shown once each, {', '.join(does)}" if does else text


def _head(fleet: Fleet) -> Iterator[Line]:
    for side in ("old", "new"):
        yield Line(side, _digest(fleet, side))
    for status in ("added", "removed", "unchanged"):
        if names := fleet.named(status):
            yield Line(status, in_words(names))
    renamed = [plan for plan in fleet.plans if plan.status == "renamed"]
    if renamed:
        old, new = in_words([plan.before for plan in renamed]), in_words([p.name for p in renamed])
        yield Line("renamed", f"{old} to {new}")


def _digest(fleet: Fleet, side: str) -> str:
    """Return the digest of all plans of a SIDE, as krunc digest --fleet prints it."""
    found = fleet_digest(digests(fleet, side))
    if not found:
        return "several plans have one name, so that no digest of all can be approved"
    return marked(found)


def digests(fleet: Fleet, side: str) -> list[tuple[str, str]]:
    """Return the names of the plans of a SIDE and their digests."""
    if side == "old":
        return [(one.before or one.name, one.old) for one in fleet.plans if one.old]
    return [(one.name, one.new) for one in fleet.plans if one.new]


def _line(row: Row) -> Line:
    origin = bare(row.origin) if row.origin else ""
    more = f" and {row.others:,} more alike" if row.others else ""
    text = f"{row.sentence}{more} ({_plans(row.plans, row.status)})"
    return Line(row.kind, text, origin, row.effect, row.details)


def _plans(names: Iterable[str], status: Status) -> str:
    named = list(names)
    noun = _IN[status][len(named) > 1]
    count = f"{len(named):,} {noun}: " if len(named) > 1 or status != "changed" else ""
    return f"in {count}{in_words(named)}"


def fleet_document(fleet: Fleet) -> dict[str, Any]:
    """Return FLEET as a JSON value; schema/krunc_schema/fleet-diff.schema.json describes it."""
    return {
        "krunc_fleet_diff": FORMAT,
        "old": fleet_digest(digests(fleet, "old")),
        "new": fleet_digest(digests(fleet, "new")),
        "summary": {effect: sum(row.effect == effect for row in fleet.rows) for effect in EFFECTS},
        "plans": [
            {
                "name": plan.name,
                "status": plan.status,
                "before": plan.before or None,
                "old": plan.old,
                "new": plan.new,
            }
            for plan in fleet.plans
        ],
        "changes": [
            {
                "effect": row.effect,
                "kind": row.kind,
                "text": plain(row.sentence),
                "from": row.origin or None,
                "status": row.status,
                "unlike": row.unlike,
                "others": row.others,
                "plans": list(row.plans),
            }
            for row in fleet.rows
        ],
        "lacks": [
            {
                "effect": lack.row.effect,
                "kind": lack.row.kind,
                "text": plain(lack.row.sentence),
                "from": lack.row.origin or None,
                "plans": list(lack.plans),
            }
            for lack in fleet.lacks
        ],
    }
