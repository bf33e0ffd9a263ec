"""Where each character of a scalar stands in its source, whichever way the scalar is written."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from krunc_compiler.findings.finding import Span
from krunc_compiler.findings.report import LINE_END

# What may stand before a scalar in its place: an anchor, a tag that means nothing, a comment.
_BEFORE = re.compile(r"(?:[&!]\S*\s+|#[^\n]*\n\s*)*")
_HEADER = re.compile(r"[|>][^\n]*\n")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r?\n\s*)|(.))")
_ESCAPED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f",
    "r": "\r", "e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


class Characters(NamedTuple):
    """The text of a scalar, and the place in the source of each of its characters.

    Line breaks and indentation stand as they are written, which a scalar's value folds; it makes
    no difference to what an expression within it says.
    """

    text: str
    places: list[tuple[int, int]]

    def span(self, start: int, end: int) -> Span:
        """Return the piece of the source that holds the characters from START to END."""
        (line, column), (end_line, end_column) = self.places[start], self.places[end - 1]
        return Span(line, column, end_line, end_column + 1)


def characters(source: str, span: Span) -> Characters:
    """Return the characters of the scalar that stands at SPAN in SOURCE."""
    starts = _line_starts(source)
    first = starts[span.line] + span.column
    last = starts[span.end_line] + span.end_column if span.end_line < len(starts) else len(source)
    text: list[str] = []
    places: list[tuple[int, int]] = []
    for offset, character in _read(source[:last], first):
        line = bisect_right(starts, offset) - 1
        text.append(character)
        places.append((line, offset - starts[line]))
    return Characters("".join(text), places)


@lru_cache(4)
def _line_starts(source: str) -> list[int]:
    return [0, *(end.end() for end in re.finditer(LINE_END, source))]


def _read(raw: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield the offset and the character for each character of the scalar that starts at START."""
    before = _BEFORE.match(raw, start)
    position = before.end() if before else start
    style, end = raw[position : position + 1], len(raw)
    if style in ("|", ">"):
        header = _HEADER.match(raw, position)
        position = header.end() if header else end
    elif style in ("'", '"'):
        position, end = position + 1, end - 1
    while position < end:
        escape = _ESCAPE.match(raw, position) if style == '"' else None
        if escape:
            yield from ((position, character) for character in _unescaped(escape))
            position = escape.end()
        else:
            yield position, raw[position]
            position += 2 if style == "'" and raw[position] == "'" else 1


def _unescaped(escape: re.Match[str]) -> str:
    *codes, line_break, character = escape.groups()
    code = next((code for code in codes if code), None)
    if code is not None:
        return chr(min(int(code, 16), 0x10FFFF))
    return "" if line_break else _ESCAPED.get(character, character)
