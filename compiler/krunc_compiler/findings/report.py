"""Findings to text: place, message, the line with the place marked, the way out."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from sys import intern
from typing import TextIO

from krunc_compiler.findings.finding import (
    Finding,
    Located,
    Source,
    Span,
    counts,
    dotted,
    ordered,
    placed,
)
from krunc_compiler.findings.wording import plural

_COLUMNS = 80
_WIDTH = 96
_LONGEST = 2_000
# Nobody reads more at once; the formats for machines have all.
MOST = 200
# Of places of which the same is said, so many are named beside the first.
_PLACES = 8
# What YAML takes for the end of a line.
LINE_END = "[\n\r\x85\u2028\u2029]"
# Letters and signs by their category, but nothing is seen of them.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
_RED, _YELLOW, _CYAN, _BOLD, _PLAIN = (f"\x1b[{code}m" for code in ("31;1", "33;1", "36", "1", "0"))


def coloured(stream: TextIO) -> bool:
    """Tell whether STREAM is a terminal that may get colours."""
    dumb = os.environ.get("TERM") == "dumb"
    return stream.isatty() and not dumb and not os.environ.get("NO_COLOR")


def columns() -> int:
    """Return the width of the terminal that standard output is. shutil tells it too, after an
    import."""
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def report(findings: list[Located], colour: bool = False) -> str:
    """Return FINDINGS as text, errors first, in the order of files and lines; the first of many.
    Those that say the same of several places are told once."""
    items = ordered(findings)
    paint = _paint if colour else _leave
    groups = _alike(items)
    end = f"krunc: {summary(items)}"
    if len(groups) > MOST:
        end += f"; these are the first {sum(map(len, groups[:MOST])):,}"
    return "\n".join([*(_together(group, paint) for group in groups[:MOST]), end]) + "\n"


def _alike(items: list[Located]) -> list[list[Located]]:
    """Return ITEMS in groups of those that say the same of one key, in the order of their first."""
    groups: dict[tuple[bool, str, str, str, str], list[Located]] = {}
    for item in items:
        one = item.finding
        key = (one.warning, one.code, dotted(one.path), one.message, one.hint)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def summary(findings: list[Located]) -> str:
    """2 errors, 1 warning."""
    named = zip(counts(findings), ("error", "warning"), strict=True)
    return ", ".join(plural(count, word) for count, word in named if count)


def _paint(text: str, colour: str) -> str:
    return f"{colour}{text}{_PLAIN}"


def _leave(text: str, colour: str) -> str:
    del colour
    return text


def _together(group: list[Located], paint: Callable[[str, str], str]) -> str:
    """Return what is said of all in GROUP: of the first whole, of the others where they are."""
    text = _one(group[0], paint)
    if len(group) == 1:
        return text
    places = [_clipped(_place(*placed(item))) for item in group[1 : _PLACES + 1]]
    more = f" and {len(group) - 1 - _PLACES:,} more" if len(group) - 1 > _PLACES else ""
    return f"{text}\n    = the same in {', '.join(places)}{more}"


def _place(source: Source, span: Span | None) -> str:
    return f"{source.name}:{span.line + 1}:{span.column + 1}" if span else source.name


def _one(item: Located, paint: Callable[[str, str], str]) -> str:
    finding = item.finding
    source, span = placed(item)
    place = _place(source, span)
    level, colour = ("warning", _YELLOW) if finding.warning else ("error", _RED)
    where = f"{dotted(finding.path)}: " if finding.path else ""
    kind = paint(f"{level}[{finding.code}]", colour)
    lines = [f"{paint(printable(place), _BOLD)}: {kind}: {_clipped(where + finding.message)}"]
    if span:
        lines += _marked(source, span, paint, colour)
    if finding.hint:
        lines.append(f"    = {paint('help', _CYAN)}: {printable(finding.hint)}")
    return "\n".join(lines)


def _clipped(text: str) -> str:
    """Return TEXT for a terminal: a hostile key may be as long as a file."""
    return printable(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")


def _marked(source: Source, span: Span, paint: Callable[[str, str], str], colour: str) -> list[str]:
    line = _line(source, span).replace("\t", " ")
    if not line.strip():
        return []
    end = span.end_column if span.end_line == span.line else len(line)
    start = max(0, span.column - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    before, marked = printable(line[start : span.column]), printable(line[span.column : end])
    number = str(span.line + 1)
    width = max(1, min(len(marked), len(printable(shown)) - len(before)))
    marks = paint("^" * width, colour)
    return [
        f"    {number} | {printable(shown)}",
        f"    {' ' * len(number)} | {' ' * len(before)}{marks}",
    ]


def _line(source: Source, span: Span) -> str:
    lines, number = _lines(source.text), span.line - source.first
    return lines[number] if number < len(lines) else ""


def settled(findings: list[Located]) -> list[Located]:
    """Return FINDINGS with no more of their texts than the lines that they mark, for there may be
    many."""
    found = []
    for item in findings:
        source, span = placed(item)
        # Many have the same words: one object for all of them that a worker sends at once.
        one = item.finding._replace(span=span, hint=intern(item.finding.hint))
        line = _line(source, span) if span else ""
        found.append(Located(Source(source.name, line, {}, first=span.line if span else 0), one))
    return found


@lru_cache(4)
def _lines(text: str) -> list[str]:
    return re.split(LINE_END, text)


def printable(text: str) -> str:
    """Return TEXT with what a terminal would obey, or a reader not see where it stands, as
    escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if is_seen(c) else _escape(c) for c in text)


def is_seen(c: str) -> bool:
    """Tell whether a reader sees the character C as itself, and nothing else because of it."""
    return _is_drawn(c) and unicodedata.bidirectional(c) not in ("R", "AL", "AN")


def is_blank(text: str) -> bool:
    """Tell whether a reader sees nothing of TEXT."""
    return not any(_is_drawn(c) and not c.isspace() for c in text)


def _is_drawn(c: str) -> bool:
    return c.isprintable() and unicodedata.category(c)[0] != "M" and c not in _BLANK


def _escape(character: str) -> str:
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def only(name: str, finding: Finding) -> list[Located]:
    """Return FINDING about the file NAME as a whole, of which there is no text."""
    return [Located(Source(name, "", {}), finding)]
