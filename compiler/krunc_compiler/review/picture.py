"""The picture of a box: what is on the host on the left, the VM on the right, arrows between."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from krunc_compiler.findings.wording import plural
from krunc_compiler.review.difference import Change, Difference
from krunc_compiler.review.fact import Fact
from krunc_compiler.review.summary import Review
from krunc_compiler.review.unusual import unusual_in
from krunc_compiler.review.words import bare, is_marked, split, word

_ROWS = 24
Mark = Literal["", "new", "changed", "gone"]


class _Way(NamedTuple):
    """What stands at an arrow, at which ends it has a head, and what it means."""

    label: str
    to_host: bool
    to_guest: bool
    meaning: str


_WAYS = {
    "write": _Way("reads and writes", True, True, "the guest changes it, and it stays changed"),
    "read": _Way("reads", False, True, "the guest sees it and cannot change it"),
    "network": _Way("network", True, True, "the guest connects, and gets answers"),
    "listen": _Way("connects in", False, True, "whoever reaches the host's end reaches the guest"),
    "connect": _Way("connects out", True, False, "the guest reaches a host program"),
    "secret": _Way("secret", False, True, "the launcher hands a value to the guest"),
    "device": _Way("device", True, True, "the guest uses a host device"),
    "stdio": _Way("console", True, True, "what the guest prints, and what it is sent"),
    "vmm-only": _Way("VMM only", True, True, "open to the VM's process, not to the guest"),
    "other": _Way("unknown", True, True, "krunc cannot read this operation"),
}
# Where the words about the host begin and end in a fact, outside of its values. Behind the ports
# stand those about the guest.
_BEGINS = re.compile("^through the network backend at ")
_ENDS = re.compile(r" \(| as |: who connects|: the program| (?:to|from) (?=guest (?:vsock )?port )")


class Arrow(NamedTuple):
    """One row of the picture. Both ends are sentences. `loud` is what the lists mark too, `mark`
    what becomes of it."""

    host: str
    guest: str
    label: str
    to_host: bool
    to_guest: bool
    loud: bool
    mark: Mark = ""


class Picture(NamedTuple):
    """The picture: the VM's sentences, the arrows, how many more there are, and what the words at
    the arrows mean."""

    name: str
    size: str
    program: str
    changed: str
    arrows: tuple[Arrow, ...]
    more: int
    legend: tuple[tuple[str, str], ...]
    marks: tuple[Mark, ...]
    is_loud: bool


def picture(review: Review) -> Picture:
    """Return the picture of a plan; the last of many rows are counted."""
    is_unusual = unusual_in(review)
    rows = [_arrow(fact, is_unusual(fact)) for fact in review.exposure if fact.kind in _WAYS]
    return _picture(review, rows, [])


def changed_picture(difference: Difference) -> Picture | None:
    """Return the picture of both plans in one: what is new, changed and gone is marked. Of a plan
    that comes or goes nothing is."""
    old, new = difference.old, difference.new
    if old is None or new is None:
        either = new or old
        return picture(either) if either else None
    by_new = {id(change.new): change for change in difference.changes if change.new}
    rows = []
    for fact in new.exposure:
        if fact.kind in _WAYS:
            change = by_new.get(id(fact))
            mark: Mark = "" if change is None else "changed" if change.old else "new"
            # Of two plans it is the change that is to be seen: what stays was approved before.
            rows.append(_arrow(fact, change is not None and change.effect == "widens", mark))
    for change in difference.changes:
        if change.new is None and change.old is not None and change.old.kind in _WAYS:
            rows.append(_arrow(change.old, False, "gone"))
    rows.sort(key=lambda row: (not row.mark, row.mark == "gone"))
    return _picture(new, rows, list(difference.changes))


def _picture(review: Review, rows: list[Arrow], changes: list[Change]) -> Picture:
    said = {fact.kind: fact for fact in reversed(review.machine)}
    kinds = {change.kind for change in changes}
    shown = rows[:_ROWS]
    cpus, memory = (said[kind].sentence if kind in said else "?" for kind in ("vCPUs", "memory"))
    legend = tuple(
        (way.label, way.meaning)
        for way in _WAYS.values()
        if any(row.label == way.label for row in shown)
    )
    marks: tuple[Mark, ...] = ("new", "changed", "gone")
    told = [kind for kind in ("vCPUs", "memory", "image", "program") if kind in kinds]
    return Picture(
        bare(review.value["box"]),
        f"{plural(int(cpus), 'vCPU') if cpus.isdecimal() else '? vCPUs'}, {memory}",
        said["program"].sentence if "program" in said else "no program",
        ", ".join(told),
        tuple(shown),
        len(rows) - len(shown),
        legend,
        tuple(mark for mark in marks if any(row.mark == mark for row in shown)),
        any(row.loud for row in shown),
    )


def _arrow(fact: Fact, loud: bool, mark: Mark = "") -> Arrow:
    way = _WAYS[fact.kind]
    host, guest = _sides(fact)
    return Arrow(host, guest, way.label, way.to_host, way.to_guest, loud, mark)


def _sides(fact: Fact) -> tuple[str, str]:
    """Tell what stands on the host's side of an arrow, and what on the guest's."""
    before = ""
    parts = split(_BEGINS.sub("", fact.sentence))
    for i, part in enumerate(parts):
        end = None if is_marked(part) else _ENDS.search(part)
        if end is not None:
            is_port = end[0] in (" to ", " from ")
            rest = [part[end.end() :], *parts[i + 1 :]]
            guest = _until(", on the address", rest) if is_port else _subject(fact)
            return before + part[: end.start()], guest
        before += part
    return before, _subject(fact)


def _until(sign: str, parts: list[str]) -> str:
    """Return PARTS up to SIGN, which is in none of the values."""
    found = ""
    for part in parts:
        if not is_marked(part) and sign in part:
            return found + part.partition(sign)[0]
        found += part
    return found


def _subject(fact: Fact) -> str:
    if any("(the guest's root" in part for part in split(fact.sentence) if not is_marked(part)):
        return "root"
    noun, *which = fact.subject
    if noun == "admitted":
        return "the VMM itself"
    noun = {"network device": "network", "ports": "every port"}.get(noun, noun)
    return " ".join([noun, *map(word, which)])
