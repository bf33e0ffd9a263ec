"""Where a value stands in a plan's text; only asked when something is wrong with it."""

from __future__ import annotations

from krunc_launcher.plan.places import ENDS, place, skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.plan.text import Path


def position(text: str, path: Path) -> tuple[int, int]:
    """Line and column, from 1, of the value at PATH in TEXT, which is JSON.

    The place of the nearest value above when there is none; line 1 when TEXT is not JSON.
    """
    offset = skip(text, 0)
    for part in path:
        inner = _child(text, offset, part)
        if inner is None:
            break
        offset = inner
    return place(text, offset)


def _child(text: str, offset: int, part: str | int) -> int | None:
    """Return the offset of the member PART of the container at OFFSET."""
    opener = text[offset : offset + 1]
    if opener not in ("{", "["):
        return None
    offset = skip(text, offset + 1)
    index = 0
    while offset < len(text) and text[offset] not in "]}":
        name: str | int = index
        if opener == "{":
            end = _end(text, offset)
            name = _string(text[offset:end])
            offset = skip(text, skip(text, end) + 1)
        if name == part:
            return offset
        offset = skip(text, _end(text, offset))
        if text[offset : offset + 1] == ",":
            offset = skip(text, offset + 1)
        index += 1
    return None


def _end(text: str, offset: int) -> int:
    """Behind the value at OFFSET."""
    if text[offset : offset + 1] not in ('"', "{", "["):
        while offset < len(text) and text[offset] not in ENDS:
            offset += 1
        return offset
    level = 0
    while offset < len(text):
        character = text[offset]
        if character == '"':
            offset += 1
            while offset < len(text) and text[offset] != '"':
                offset += 2 if text[offset] == "\\" else 1
        elif character in "{[":
            level += 1
        elif character in "}]":
            level -= 1
        offset += 1
        if level == 0:
            return offset
    return offset


def _string(token: str) -> str:
    from _json import scanstring

    try:
        return scanstring(token, 1, True)[0]
    except ValueError:
        return token
