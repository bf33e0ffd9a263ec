"""Where a value stands in a plan's text; only asked when something is wrong with it."""

from __future__ import annotations

_BLANKS = " \t\r\n"
ENDS = ",]}" + _BLANKS


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of OFFSET in TEXT."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def skip(text: str, offset: int) -> int:
    """Behind the blanks at OFFSET."""
    while text[offset : offset + 1] in tuple(_BLANKS):
        offset += 1
    return offset
