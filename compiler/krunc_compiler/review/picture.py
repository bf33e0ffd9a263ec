"""The picture of a box: what is on the host on the left, the VM on the right, arrows between."""

from __future__ import annotations

from typing import NamedTuple

from krunc_compiler.review.fact import Fact
from krunc_compiler.review.facts.storage import ROOT_TAG
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import columns, word

_ROWS = 24
_WIDE, _ROW, _TOP = 640, 40, 104
# The kind of exposure: what stands at the arrow, and at which ends it has a head.
_ARROWS = {
    "writes": ("rw", True, True),
    "reads": ("ro", False, True),
    "network": ("net", True, True),
    "listens": ("in", False, True),
    "connects": ("out", True, False),
    "secrets": ("secret", False, True),
    "devices": ("device", True, True),
    "stdio": ("stdio", True, True),
    "other": ("?", True, True),
}


class Arrow(NamedTuple):
    """One row of the picture; `y` is its middle. `loud` ones can change or reach the host."""

    y: int
    host: str
    guest: str
    label: str
    to_host: bool
    to_guest: bool
    loud: bool


class Picture(NamedTuple):
    """The picture, in units of its view box."""

    width: int
    height: int
    name: str
    size: str
    program: str
    arrows: tuple[Arrow, ...]
    more: int
    says: str


def picture(review: Review) -> Picture:
    """The picture of a plan; with many rows the last ones are only counted."""
    drawn = [fact for fact in review.exposure if fact.kind in _ARROWS]
    arrows = tuple(
        _arrow(fact, _TOP + _ROW // 2 + i * _ROW) for i, fact in enumerate(drawn[:_ROWS])
    )
    said = {fact.kind: fact.text for fact in reversed(review.machine)}
    rows = max(1, len(arrows)) + (len(drawn) > _ROWS)
    name = review.value["box"]
    return Picture(
        _WIDE,
        _TOP + rows * _ROW + 16,
        word(name),
        f"{said.get('vCPUs', '?')} vCPUs, {said.get('memory', 'memory unknown')}",
        _short(said.get("program", "no program"), 36),
        arrows,
        max(0, len(drawn) - _ROWS),
        f"The VM {word(name)} and {len(drawn)} things of the host that it reaches; "
        "the lists on this page say the same in words.",
    )


def _arrow(fact: Fact, y: int) -> Arrow:
    label, to_host, to_guest = _ARROWS[fact.kind]
    host = _short(fact.text.partition(" (")[0], 36)
    return Arrow(y, host, _short(_subject(fact), 26), label, to_host, to_guest,
                 to_host and fact.kind != "stdio")  # fmt: skip


def _subject(fact: Fact) -> str:
    noun, *which = fact.subject
    if which == [ROOT_TAG]:
        return "root"
    return " ".join([noun, *map(word, which)])


def _short(text: str, room: int) -> str:
    """TEXT cut in the middle to ROOM columns: the end of a path says most."""
    if columns(text) <= room:
        return text
    head, tail = room // 2 - 2, room // 2 - 2
    while columns(text[:head] + text[-tail:]) > room - 3:
        head, tail = head - 1, tail - 1
    return f"{text[:head]}...{text[-tail:]}"
