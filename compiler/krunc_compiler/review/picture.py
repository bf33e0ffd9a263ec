"""The picture of a box: what is on the host on the left, the VM on the right, arrows between."""

from __future__ import annotations

import re
from typing import NamedTuple

from krunc_compiler.findings.wording import plural
from krunc_compiler.review.fact import BY_NAME, Fact
from krunc_compiler.review.facts.storage import ROOT_TAG
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import columns, folded, word

_ROWS = 24
_ROW, _TOP = 42, 92
# The kind of exposure: what stands at the arrow, and at which ends it has a head.
_ARROWS = {
    "write": ("rw", True, True),
    "read": ("ro", False, True),
    "network": ("net", True, True),
    "listen": ("in", False, True),
    "connect": ("out", True, False),
    "secret": ("secret", False, True),
    "device": ("device", True, True),
    "stdio": ("stdio", True, True),
    "vmm-only": ("VMM", True, True),
    "other": ("?", True, True),
}
# Where the words about the host begin and end in the text of a fact, outside of what is quoted
# there. Behind the ports stand those about the guest.
_BEGINS = re.compile("^through the network backend at ")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_ENDS = re.compile(r" \(| as |: who connects|: the program| (?:to|from) (?=guest (?:vsock )?port )")


class Layout(NamedTuple):
    """Places and widths, in units of the view box; `room` counts the columns of a label."""

    name: str
    width: int
    host: int
    host_room: int
    guest: int
    guest_room: int


LAYOUTS = (Layout("broad", 640, 266, 37, 386, 33), Layout("slim", 344, 146, 20, 206, 18))


class Arrow(NamedTuple):
    """One row of the picture; `y` is its middle. Labels are one or two lines. `loud` is what the
    lists mark too."""

    y: int
    host: tuple[str, ...]
    guest: tuple[str, ...]
    label: str
    to_host: bool
    to_guest: bool
    loud: bool


class Picture(NamedTuple):
    """The picture, in units of its view box."""

    layout: Layout
    height: int
    name: str
    size: str
    program: str
    arrows: tuple[Arrow, ...]
    more: int
    says: str


def pictures(review: Review) -> tuple[Picture, ...]:
    """Return the picture of a plan, for broad and for slim windows; the last of many rows are
    counted."""
    return tuple(_picture(review, layout) for layout in LAYOUTS)


def _cpus(count: str) -> str:
    return f"{count} vCPU{'' if count == '1' else 's'}"


def _picture(review: Review, layout: Layout) -> Picture:
    drawn = [fact for fact in review.exposure if fact.kind in _ARROWS]
    arrows = tuple(
        _arrow(fact, _TOP + _ROW // 2 + i * _ROW, layout) for i, fact in enumerate(drawn[:_ROWS])
    )
    said = {fact.kind: fact.text for fact in reversed(review.machine)}
    rows = max(1, len(arrows)) + (len(drawn) > _ROWS)
    name = word(review.value["box"])
    return Picture(
        layout,
        _TOP + rows * _ROW + 14,
        _short(name, layout.guest_room // 2 + 5),
        f"{_cpus(said.get('vCPUs', '?'))}, {said.get('memory', 'memory unknown')}",
        _short(said.get("program", "no program"), layout.guest_room),
        arrows,
        max(0, len(drawn) - _ROWS),
        f"The VM {name} and {plural(len(drawn), 'thing')} on the host that it reaches; "
        "the lists on this page say the same in words.",
    )


def _arrow(fact: Fact, y: int, layout: Layout) -> Arrow:
    label, to_host, to_guest = _ARROWS[fact.kind]
    host, guest = _sides(fact)
    return Arrow(
        y,
        _lines(host, layout.host_room),
        _lines(guest, layout.guest_room),
        label,
        to_host,
        to_guest,
        BY_NAME[fact.kind].loud,
    )


def _sides(fact: Fact) -> tuple[str, str]:
    """Tell what stands on the host's side of an arrow, and what on the guest's."""
    before = ""
    pieces = _QUOTED.split(_BEGINS.sub("", fact.text))
    for i, piece in enumerate(pieces):
        end = None if i % 2 else _ENDS.search(piece)
        if end is not None:
            rest = "".join([piece[end.end() :], *pieces[i + 1 :]])
            is_port = end[0] in (" to ", " from ")
            guest = rest.partition(", on the address")[0] if is_port else _subject(fact)
            return before + piece[: end.start()], guest
        before += piece
    return before, _subject(fact)


def _subject(fact: Fact) -> str:
    noun, *which = fact.subject
    if which == [ROOT_TAG]:
        return "root"
    if noun == "admitted":
        return "the VMM itself"
    noun = {"network device": "network", "ports": "every port"}.get(noun, noun)
    return " ".join([noun, *map(word, which)])


def _lines(text: str, room: int) -> tuple[str, ...]:
    """Return TEXT in one or two lines of ROOM columns, shortened where it must be."""
    most = 2 * room
    while len(pieces := folded(_short(text, most), room)) > 2:
        most -= 1
    return tuple(piece.rstrip(" ") for piece in pieces)


def _short(text: str, room: int) -> str:
    """Return TEXT cut in the middle to ROOM columns: the end of a path says most."""
    if columns(text) <= room:
        return text
    head, tail = room // 2 - 2, room // 2 - 2
    while columns(text[:head] + text[-tail:]) > room - 3:
        head, tail = head - 1, tail - 1
    return f"{text[:head]}...{text[-tail:]}"
