"""A sheet in markdown, for a comment on a pull request.

Whatever comes from a plan stands in a code span, in which markdown, HTML, mentions and links are
nothing but characters. Lists instead of tables: a `|` then means nothing either.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

from krunc_compiler.review.sheet import Line, Section, Sheet
from krunc_compiler.review.words import pieces

# GitHub refuses a longer comment.
MOST = 65_536
_ROOM = 400
# What a row may take where not all has room.
_MOST_TEXT = 1200
# What markdown or a service would take for more than a character, in krunc's own words: those are
# short, and ASCII.
_SPECIAL = re.compile(r"[\\`*\[\]<#|~@&$]|(?<!\w)_|_(?!\w)")


def to_markdown(sheet: Sheet, most: int = MOST) -> str:
    """Return SHEET in at most MOST bytes; what is left out where it must be is counted.

    First come the rows that are not folded, the worst first, then what differs in their values,
    then the folded rows.
    """
    head = [f"### {code(sheet.name)}: {sheet.about}", "", *map(_line, sheet.head)]
    whole = [
        *head,
        *(
            line
            for section in sheet.sections
            for line in _section(section, list(map(_row, section.lines)))
        ),
    ]
    if sum(map(_size, whole)) <= most:
        return "\n".join(whole) + "\n"
    return _cut(sheet, head, most)


def _section(section: Section, rows: list[str]) -> list[str]:
    start, end = _frame(section)
    return [*start, *(rows or [section.empty or "nothing"]), *end]


def _cut(sheet: Sheet, head: list[str], most: int) -> str:
    room = most - _ROOM - sum(map(_size, head))
    left_out = 0
    parts: list[list[str]] = []
    told: list[tuple[list[str], int, Line]] = []
    for section in sheet.sections:
        labels = {row.label for row in section.lines}
        least = sum(map(_size, (more(label, len(section.lines)) for label in labels)))
        room -= sum(map(_size, _section(section, []))) + (0 if section.long else least)
    for section in sheet.sections:
        rows: list[str] = []
        parts.append(rows)
        if section.long:
            continue
        hidden: Counter[str] = Counter()
        for row in section.lines:
            line = _line(row, _MOST_TEXT)
            if _size(line) > room:
                hidden[row.label] += 1
                continue
            room -= _size(line)
            told.append((rows, len(rows), row))
            rows.append(line)
        rows += [more(label, count) for label, count in hidden.items()]
        left_out += hidden.total()
    for rows, at, row in told:
        lines, cut = _details(row, room)
        left_out += cut
        room -= sum(map(_size, lines))
        rows[at] = "\n".join([rows[at], *lines])
    for rows, section in zip(parts, sheet.sections, strict=True):
        for row in section.lines if section.long else ():
            line = _row(row)
            if _size(line) > room:
                left_out += 1
                continue
            room -= _size(line)
            rows.append(line)
    lines = [
        line
        for rows, one in zip(parts, sheet.sections, strict=True)
        if rows
        for line in _section(one, rows)
    ]
    note = (
        f"**{left_out} lines are omitted or cut: this text may have {most:,} characters.** "
        "`krunc show` and `krunc diff` print all of them."
    )
    return "\n".join([*head, *lines, "", note]) + "\n"


def more(label: str, count: int) -> str:
    """Return the line that stands for COUNT rows with a LABEL for which there is no room."""
    return f"- **{label}** and {count:,} more of this kind, not shown"


def _row(row: Line) -> str:
    """Return a row with what differs in its values."""
    return "\n".join([_line(row), *_details(row, sys.maxsize)[0]])


def _details(row: Line, room: int) -> tuple[list[str], int]:
    """Tell what differs in the values of a ROW, as much as there is ROOM for, and how much there is
    not.

    No line of a fence can end it: each begins with a sign or blanks and a number.
    """
    found: list[str] = []
    left_out = 0
    for detail in row.details:
        lines = ["", f"  {code(detail.title)}", "", "  ```diff"]
        used = sum(map(_size, lines)) + _ROOM
        wide = max(len(piece.number) for piece in detail.pieces)
        for i, piece in enumerate(detail.pieces):
            line = f"  {piece.sign} {piece.number:>{wide}}  {piece.text}"
            used += _size(line)
            if used > room:
                left_out += len(detail.pieces) - i
                lines.append(f"  {' ':{wide + 2}}  ... and {len(detail.pieces) - i} more lines")
                break
            lines.append(line)
        if used > room and lines[-2] == "  ```diff":
            continue
        room -= used
        found += [*lines, "  ```", ""]
    return found, left_out


def _size(line: str) -> int:
    return len(line.encode("utf-8")) + 1


def _frame(section: Section) -> tuple[list[str], list[str]]:
    if section.long:
        summary = f"<details><summary>{section.title} ({len(section.lines)})</summary>"
        return ["", summary, ""], ["", "</details>"]
    return ["", f"**{section.title}**", ""], []


def _line(row: Line, most: int = sys.maxsize) -> str:
    label = f"**{row.label.strip()}** " if row.label.strip() else ""
    origin = f" ({linked(span(row.origin, most), row.link)})" if row.origin else ""
    return f"- {label}{prose(row.sentence, most)}{origin}"


def linked(shown: str, address: str) -> str:
    """Return SHOWN, a code span, as a link to ADDRESS where there is one: krunc's own, in which no
    character is one of markdown's."""
    return f"[{shown}]({address})" if address else shown


def prose(sentence: str, most: int) -> str:
    """Return SENTENCE with its values as code spans, in about MOST bytes, cut at its end."""
    parts: list[str] = []
    for is_value, text in pieces(sentence):
        if most <= 0:
            parts.append("...")
            break
        part = span(text, most) if is_value else _SPECIAL.sub(r"\\\g<0>", text)
        parts.append(part)
        most -= len(part.encode("utf-8"))
    return "".join(parts)


def span(text: str, most: int) -> str:
    """Return TEXT as a code span of about MOST bytes, cut at its end."""
    data = text.replace("`", "\\u0060").encode("utf-8")
    return code(text if len(data) <= most else data[:most].decode("utf-8", "ignore") + "...")


def code(text: str) -> str:
    """Return TEXT as a code span. A backtick stands in a quoted word, where it can be an escape."""
    inner = text.replace("`", "\\u0060")
    return f"`{inner}`" if inner.strip(" ") else "-"
