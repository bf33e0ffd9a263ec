"""krunc diff of two directories: what changes in meaning between all plans below them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import NamedTuple

from krunc_compiler.files import git
from krunc_compiler.files.boxfiles import ENDING
from krunc_compiler.files.commits import Objects
from krunc_compiler.files.sha256 import for_many
from krunc_compiler.files.source import decode, read
from krunc_compiler.files.within import repository
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Located, Rejected, UsageError
from krunc_compiler.pipeline.parallel import MANY, spread
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.many import Rows
from krunc_compiler.plan.plan import Plan, moved, value_of
from krunc_compiler.review.breadth import WIDEST
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.fleet import Fleet, PlanChange, Status, Told, fleet, told
from krunc_compiler.review.fleet_sheet import fleet_document, fleet_sheet
from krunc_compiler.review.markdown import to_markdown
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text
from krunc_compiler.values.kind import is_plan, kind_of_file
from krunc_compiler.verbs.fleet_sides import Text, texts, variables
from krunc_compiler.verbs.reviewed import NOTHING, directory_of, terminal

# Of the plans that this process, or worker, reads.
_ROWS = Rows()


class Pair(NamedTuple):
    """A plan of both sides, or of one: its name on each, and where its paths start, seen from
    what both sides have above them; None where that is the same."""

    name: str
    old: Text | None
    new: Text | None
    ways: tuple[str, str] | None = None
    before: str = ""


class Judged(NamedTuple):
    """What became of a pair, None when neither side is a plan, and what is wrong with it."""

    change: PlanChange | None
    findings: list[Located]


def run(old: str, new: str, form: str) -> int:
    """Print what changes from the directory OLD to NEW in the form FORM; the exit status."""
    found = changes(old, new)
    name = new if new != NOTHING else old
    match form:
        case "json":
            sys.stdout.write(json.dumps(fleet_document(found), indent=1) + "\n")
        case "html":
            from krunc_compiler.review.page import sheet_page

            sys.stdout.write(sheet_page(fleet_sheet(found, name)))
        case "markdown" if found.differs():
            sys.stdout.write(to_markdown(fleet_sheet(found, name)))
        case "text" if found.differs():
            sys.stdout.write(to_text(fleet_sheet(found, name), *terminal()))
    return 1 if found.differs() else 0


def changes(old: str, new: str) -> Fleet:
    """Return what changes from the plans below OLD to those below NEW. Raises Rejected with all
    that is wrong."""
    sides = (texts(old), texts(new))
    names = sorted({*sides[0], *sides[1]})
    ways = _ways(old, new)
    pairs = [Pair(name, sides[0].get(name), sides[1].get(name), _of(ways, name)) for name in names]
    if len(pairs) >= MANY:
        for_many()
    with closing(spread(judge, pairs)) as results:
        judged = list(results)
    findings = [one for item in judged for one in item.findings]
    found = [item.change for item in judged if item.change is not None]
    if not findings:
        found, findings = _renamed(found, sides, ways)
    if findings:
        raise Rejected(findings)
    if not found:
        empty = " and ".join(side for side in (old, new) if side != NOTHING)
        raise UsageError(f"no plan below {empty}")
    return fleet(found, variables(new))


def _ways(old: str, new: str) -> tuple[str, str] | None:
    """Tell where both directories are, seen from the top of their repository, when that is known
    and not the same."""
    if NOTHING in (old, new):
        return None
    places = [
        directory_of(git.below(one, ".") if git.is_asked(one) else os.path.join(one, "."))
        for one in (old, new)
    ]
    tops = {repository(place) for place in places if place}
    if None in places or len(set(places)) < 2 or len(tops) > 1 or (top := tops.pop()) is None:
        return None
    first, second = (os.path.relpath(str(place), top) for place in places)
    return first, second


def _of(ways: tuple[str, str] | None, name: str, before: str = "") -> tuple[str, str] | None:
    """Tell where the paths of the plan NAME, which was called BEFORE, start on each side."""
    sides = ways or (".", ".")
    starts = [
        os.path.normpath(os.path.join(way, os.path.dirname(one)))
        for way, one in zip(sides, (before or name, name), strict=True)
    ]
    return None if starts[0] == starts[1] else (starts[0], starts[1])


def judge(pair: Pair) -> Judged:
    """Read both sides of PAIR and compare them."""
    findings: list[Located] = []
    with contained((pair.new or pair.old or Text("")).path, findings):
        return Judged(_judged(pair), findings)
    return Judged(None, findings)


def _judged(pair: Pair) -> PlanChange | None:
    if pair.new and pair.new.unread:
        return _unread(pair, pair.new.unread)
    texts = [_text(side) if side and not side.unread else None for side in (pair.old, pair.new)]
    if pair.ways is None and texts[0] == texts[1] and texts[0] is not None:
        same = _digest(_ROWS.read(*_named(pair.new, texts[0])))
        return PlanChange(pair.name, "unchanged", same, same)
    old, new = (
        _ROWS.read(*_named(side, text)) if text is not None else None
        for side, text in zip((pair.old, pair.new), texts, strict=True)
    )
    if old is None and new is None:
        return None
    was, now = (_digest(plan) if plan else None for plan in (old, new))
    status: Status = "changed" if old and new else "added" if new else "removed"
    if pair.ways is None and was == now:
        return PlanChange(pair.name, "unchanged", was, now)
    if new is None:  # it reaches nothing any more
        return PlanChange(pair.name, status, was, now)
    difference = _compared((old, new), (was or "", now or ""), pair.ways)
    if not difference.changes:
        status = "unchanged"
    changed = told(difference)
    if old is None:
        changed = tuple(one for one in changed if one.effect != "neutral")
    return PlanChange(pair.name, status, was, now, changed, pair.before)


def _unread(pair: Pair, what: str) -> PlanChange | None:
    """Tell that the new side has WHAT is not read in the place of a plan, unless it had before."""
    if pair.old and pair.old.unread == what:
        return None
    text = _text(pair.old) if pair.old and not pair.old.unread else None
    was = _digest(_ROWS.read(*_named(pair.old, text))) if text is not None else None
    said = f"{what}, which is not followed: no plan behind it is compared"
    told = Told("widens", "other", said, "", WIDEST)
    return PlanChange(pair.name, "changed" if was else "added", was, None, (told,))


def _named(side: Text | None, text: str) -> tuple[str, str]:
    return (side.path if side else "", text)


def _digest(plan: Plan) -> str:
    return digest(value_of(plan))


def _compared(
    plans: tuple[Plan | None, Plan], digests: tuple[str, str], ways: tuple[str, str] | None
) -> Difference:
    """Compare both PLANS, of which the DIGESTS are known."""
    old, new = plans
    if ways and old:
        old, new = moved(old, ways[0]), moved(new, ways[1])
    return compare(review(old, digests[0]) if old else None, review(new, digests[1]))


def _text(side: Text) -> str | None:
    """Return the text of a plan; None when it is none."""
    if side.identity:
        data = _objects(os.getpid(), os.getcwd()).start(side.path, side.identity)
        if not side.path.endswith(ENDING) and not is_plan(side.path, data):
            return None
        return decode(side.path, data)
    if kind_of_file(side.path).kind != "plan":
        return None
    return read(side.path)[1]


@cache
def _objects(process: int, directory: str) -> Objects:
    """Return git's objects as they are told to this PROCESS in its DIRECTORY: each worker asks a
    git of its own, which ends with it."""
    del process, directory
    return Objects().__enter__()


def _renamed(
    found: list[PlanChange],
    sides: tuple[Mapping[str, Text], Mapping[str, Text]],
    ways: tuple[str, str] | None,
) -> tuple[list[PlanChange], list[Located]]:
    """Return the plans that were FOUND; one that is gone and a new one of the same digest are one
    that has another name."""
    gone: dict[str | None, list[PlanChange]] = {}
    for plan in found:
        if plan.status == "removed":
            gone.setdefault(plan.old, []).append(plan)
    same = [plan for plan in found if plan.status == "added" and plan.new in gone]
    pairs: list[Pair] = []
    for plan in same:
        if olds := gone[plan.new]:
            before = olds.pop(0).name
            text = Pair(plan.name, sides[0][before], sides[1][plan.name])
            pairs.append(text._replace(ways=_of(ways, plan.name, before), before=before))
    with closing(spread(judge, pairs)) as results:
        judged = list(results)
    taken = {name for pair in pairs for name in (pair.name, pair.before)}
    kept = [
        plan for plan in found if plan.name not in taken or plan.status not in ("added", "removed")
    ]
    for pair, one in zip(pairs, judged, strict=True):
        if one.change is not None:
            kept.append(one.change._replace(status="renamed", before=pair.before))
    kept.sort(key=lambda plan: plan.name)
    return kept, [finding for one in judged for finding in one.findings]
