"""A sheet in markdown, for a comment on a pull request.

Whatever comes from a plan stands in a code span, in which markdown, HTML, mentions and links are
nothing but characters. Lists instead of tables: a `|` then means nothing either.
"""

from __future__ import annotations

from krunc_compiler.review.sheet import Line, Section, Sheet

# GitHub refuses a longer comment.
MOST = 65_536
_ROOM = 400


def to_markdown(sheet: Sheet, most: int = MOST) -> str:
    """SHEET in at most MOST bytes; the end is left out where it must be, and a note says so."""
    lines = [f"### {code(sheet.name)}: {sheet.about}", "", *map(_line, sheet.head)]
    used = sum(map(_size, lines))
    left_out = 0
    for section in sheet.sections:
        start, end = _frame(section)
        rows = [_line(row) for row in section.lines] or [section.empty or "nothing"]
        frame = sum(map(_size, [*start, *end]))
        if used + frame + _ROOM > most:
            left_out += len(section.lines)
            continue
        used += frame
        lines += start
        for i, row in enumerate(rows):
            if used + _size(row) + _ROOM > most:
                left_out += len(rows) - i
                break
            lines.append(row)
            used += _size(row)
        lines += end
    if left_out:
        lines += [
            "",
            f"**{left_out} lines are left out: this text may have {most:,} characters.** "
            "`krunc show` and `krunc diff` print all of them.",
        ]
    return "\n".join(lines) + "\n"


def _size(line: str) -> int:
    return len(line.encode("utf-8")) + 1


def _frame(section: Section) -> tuple[list[str], list[str]]:
    if section.long:
        summary = f"<details><summary>{section.title} ({len(section.lines)})</summary>"
        return ["", summary, ""], ["", "</details>"]
    return ["", f"**{section.title}**", ""], []


def _line(row: Line) -> str:
    label = f"**{row.label.strip()}** " if row.label.strip() else ""
    origin = f" ({code(row.origin)})" if row.origin else ""
    return f"- {label}{code(row.text)}{origin}"


def code(text: str) -> str:
    """TEXT as a code span. A backtick stands in a quoted word, where it can be an escape."""
    inner = text.replace("`", "\\u0060")
    return f"`{inner}`" if inner.strip(" ") else "-"
