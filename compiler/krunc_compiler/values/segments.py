"""A string with {{ expressions }}, cut into them and what is between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from jinja2 import TemplateError

from krunc_compiler.values.expressions import environment

# Each box of a matrix has the same texts, of which few have more expressions than this.
_KEPT = 2_048


class Token(NamedTuple):
    """A piece of a string, as Jinja's lexer names its kind, and the offset at which it starts."""

    kind: str
    text: str
    start: int


def tokens(text: str) -> Iterator[Token]:
    """Yield the pieces of TEXT; raises TemplateError where it is wrong."""
    start = 0
    # Jinja would make one line feed of every line end.
    flat = text.replace("\r", "\n")
    for _, kind, part in environment().lex(flat):
        # Space beside {{- and -}} is not told.
        start = flat.index(part, start)
        end = start + len(part)
        yield Token(kind, text[start:end], start)
        start = end


@lru_cache(_KEPT)
def segments(text: str) -> tuple[tuple[bool, str], ...]:
    """Return the pieces of TEXT: whether it is an expression, and its text without the braces.

    Raises TemplateError for braces that do not close.
    """
    return tuple(_segments(text))


def _segments(text: str) -> Iterator[tuple[bool, str]]:
    inside: list[str] | None = None
    for kind, part, _ in tokens(text):
        if kind == "variable_begin":
            inside = []
        elif kind == "variable_end":
            yield True, "".join(inside or ())
            inside = None
        elif inside is not None:
            inside.append(part)
        elif kind == "data":
            yield False, part
        else:
            raise TemplateError("U+FFFF is not a character of a string")
    if inside is not None:
        raise TemplateError("its }} is missing")


def place(text: str, number: int | None, word: str | None) -> tuple[int, int] | None:
    """Tell where the NUMBERth expression of TEXT stands, or the variable WORD in it.

    Without a NUMBER: where TEXT cannot be cut into expressions.
    """
    seen, begin, before = 0, 0, ""
    try:
        for kind, part, start in tokens(text):
            if kind == "variable_begin":
                seen, begin = seen + 1, start
            elif seen == number and kind == "name" and part == word and before != ".":
                return start, start + len(part)
            elif seen == number and kind == "variable_end":
                return begin, start + len(part.rstrip())
            before = part if kind != "whitespace" else before
    except TemplateError as error:
        if found := re.search(r" at (\d+)$", error.message or ""):
            return int(found[1]), int(found[1]) + 1
    if not seen:
        return None
    end = text.find("}}", begin)
    line = text.find("\n", begin)
    return begin, end + 2 if end >= 0 else line if line >= 0 else len(text)
