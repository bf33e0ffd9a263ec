"""A sheet for a reader at a terminal."""

from __future__ import annotations

from krunc_compiler.review.sheet import Detail, Line, Section, Sheet
from krunc_compiler.review.words import columns, folded

LEAST = 80
_BOLD, _RED, _GREEN, _DIM, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
_SIGNS = {"-": _RED, "+": _GREEN}
_COLOURS = {"widens": _RED, "other_code": _RED, "loud": _RED, "narrows": _GREEN}
_ORIGIN = 24
# Deeper than the labels of rows, so that no value can look like one.
_HANGING = 10


def to_text(sheet: Sheet, width: int = LEAST, colour: bool = False) -> str:
    """Return SHEET in WIDTH columns, at least 80."""
    width = max(width, LEAST)
    first, *rest = _pieces(f"{sheet.name}: {sheet.about}", width, _HANGING)
    lines = [_paint(first, _BOLD, colour), *rest]
    for row in sheet.head:
        origin = f" ({row.origin})" if row.origin else ""
        first, *rest = _pieces(f"{row.label} {row.text}{origin}", width, _HANGING)
        lines += [_paint(piece, _COLOURS.get(row.tone, ""), colour) for piece in (first, *rest)]
    for section in sheet.sections:
        lines += ["", *_section(section, width, colour)]
    return "\n".join(line.rstrip(" ") for line in lines) + "\n"


def _section(section: Section, width: int, colour: bool) -> list[str]:
    title = folded(section.title.upper(), width)
    rows = _table(section.lines, width, colour) or [f"  {section.empty or 'nothing'}"]
    return [*(_paint(line, _BOLD, colour) for line in title), *rows]


def _table(rows: tuple[Line, ...], width: int, colour: bool) -> list[str]:
    """Return ROWS in three columns. A line that goes on is indented, so no value can start a
    row."""
    start = 4 + max([9, *(len(row.label) for row in rows)])
    side = min(_ORIGIN, max((columns(row.origin) for row in rows), default=0))
    room = width - start - (side + 2 if side else 0)
    lines = []
    last = ""
    for row in rows:
        label = "" if row.label == last and row.label[:1] != " " else row.label
        last = row.label
        left = _pieces(row.text, room if row.origin else width - start)
        right = _pieces(row.origin, side) if row.origin else []
        code = _COLOURS.get(row.tone, "")
        for i in range(max(len(left), len(right))):
            text = left[i] if i < len(left) else ""
            origin = right[i] if i < len(right) else ""
            gap = " " * (room - columns(text) + 2) if origin else ""
            head = f"  {label if i == 0 else '':<{start - 2}}"
            lines.append(head + _paint(text, code, colour) + gap + _paint(origin, _DIM, colour))
        for detail in row.details:
            lines += _detail(detail, width, colour)
    return lines


def _detail(detail: Detail, width: int, colour: bool) -> list[str]:
    """Lines of a value: the sign stands where no line that goes on reaches."""
    first, *rest = _pieces(detail.title, width - 4, 4)
    lines = ["    " + piece for piece in (first, *rest)]
    start = 6 + max(len(piece.number) for piece in detail.pieces)
    for piece in detail.pieces:
        code = _SIGNS.get(piece.sign, "")
        for i, text in enumerate(_pieces(piece.text, width - start - 3)):
            head = f"    {piece.sign} {piece.number:>{start - 6}}" if i == 0 else " " * start
            lines.append(_paint(f"{head}  {text}", code, colour))
    return lines


def _pieces(text: str, room: int, indent: int = 2) -> list[str]:
    first, *rest = folded(text, room)
    more = folded("".join(rest), room - indent) if rest else []
    return [first.rstrip(" "), *(" " * indent + piece.rstrip(" ") for piece in more)]


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_PLAIN}" if colour and code and text else text
