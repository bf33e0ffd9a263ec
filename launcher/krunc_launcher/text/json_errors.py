"""What in a text is not a plan's JSON, and where; only asked once something is wrong: the slow why,
which also knows where each value stands.

Its partner for the quick yes is reading, whose scanner in C has no words without its module in
Python; tests/launcher/plan/test_plan_text.py holds the two equal.
"""

from __future__ import annotations

from _json import scanstring

from krunc_launcher._rules import LIMITS
from krunc_launcher.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.plan.text import Path

_BLANKS = (" ", "\t", "\r", "\n")
_ENDS = (",", "]", "}", *_BLANKS)
_HEX = "0123456789abcdefABCDEF"
_MOST_DIGITS = LIMITS["plan_digits"]


class Flaw(Exception):
    """The text is wrong at `offset`, as `sentence` says."""

    def __init__(self, offset: int, sentence: str) -> None:
        super().__init__(offset, sentence)
        self.offset = offset
        self.sentence = sentence


def flaw(text: str) -> Flaw:
    """Return the first thing in TEXT that is no JSON, or JSON that no plan has."""
    if text.startswith("\ufeff"):
        return Flaw(0, "a byte order mark is before the plan")
    try:
        end = _skip(text, _value(text, _skip(text, 0), 1, None, []))
    except Flaw as found:
        return found
    if end == len(text):
        return Flaw(0, "this is not the JSON of a plan")
    return Flaw(end, "something is behind the plan")


def offset_of(text: str, path: Path) -> int:
    """Return the offset of the value at PATH in TEXT, or of the nearest above it."""
    offsets: list[int] = []
    try:
        _value(text, _skip(text, 0), 1, path, offsets)
    except Flaw:  # a text that is no JSON has a place of its own
        pass
    return offsets[-1]


def _skip(text: str, offset: int) -> int:
    """Return the offset behind the blanks at OFFSET."""
    while text[offset : offset + 1] in _BLANKS:
        offset += 1
    return offset


def _value(text: str, offset: int, level: int, way: Path | None, offsets: list[int]) -> int:
    """Return the offset behind the value that starts at OFFSET; raises Flaw. On the WAY to a value
    that is looked for, which is what is left of its path, the offset is appended to OFFSETS."""
    if way is not None:
        offsets.append(offset)
    if level > LIMITS["plan_depth"]:
        raise Flaw(offset, f"the plan is nested too deeply: {LIMITS['plan_depth']} levels at most")
    start = text[offset : offset + 1]
    if start == '"':
        return _text(text, offset)
    if start == "{":
        return _object(text, offset, level, way, offsets)
    if start == "[":
        return _list(text, offset, level, way, offsets)
    end = offset
    while end < len(text) and text[end] not in _ENDS:
        end += 1
    _word(text[offset:end], offset)
    return end


def _word(word: str, offset: int) -> None:
    digits = word.removeprefix("-")
    if word in ("true", "false", "null"):
        return
    if not digits.isascii() or not digits.isdigit():
        if digits[:1].isdigit() or digits in ("NaN", "Infinity"):
            raise Flaw(offset, f"{quoted(word[: LIMITS['plan_digits']])[1:-1]} is not an integer")
        found = f"found {quoted(word[: LIMITS['plan_digits']])}; " if word else ""
        raise Flaw(offset, f"this is not JSON: {found}expected a value")
    if len(word) > _MOST_DIGITS:
        raise Flaw(offset, f"a number has more than {LIMITS['plan_digits']} digits")
    if digits[0] == "0" and digits != "0":
        raise Flaw(offset, "this is not JSON: a number does not start with 0")


def _object(text: str, offset: int, level: int, way: Path | None, offsets: list[int]) -> int:
    names: set[str] = set()
    offset = _skip(text, offset + 1)
    if text[offset : offset + 1] == "}":
        return offset + 1
    while True:
        if text[offset : offset + 1] != '"':
            raise Flaw(offset, "this is not JSON: expected a key in double quotes")
        end = _text(text, offset)
        name = scanstring(text, offset + 1, True)[0]
        if name in names:
            raise Flaw(offset, f"duplicate key {quoted(name)} in one object")
        names.add(name)
        end = _skip(text, end)
        if text[end : end + 1] != ":":
            raise Flaw(end, "this is not JSON: expected a colon behind a key")
        inner = _behind(way, name)
        offset = _skip(text, _value(text, _skip(text, end + 1), level + 1, inner, offsets))
        if text[offset : offset + 1] == "}":
            return offset + 1
        offset = _comma(text, offset)


def _list(text: str, offset: int, level: int, way: Path | None, offsets: list[int]) -> int:
    index = 0
    offset = _skip(text, offset + 1)
    if text[offset : offset + 1] == "]":
        return offset + 1
    while True:
        inner = _behind(way, index)
        offset = _skip(text, _value(text, offset, level + 1, inner, offsets))
        if text[offset : offset + 1] == "]":
            return offset + 1
        offset = _comma(text, offset)
        index += 1


def _behind(way: Path | None, part: str | int) -> Path | None:
    """Return what is left of WAY behind PART; None where PART is not on it."""
    return way[1:] if way and way[0] == part else None


def _comma(text: str, offset: int) -> int:
    if text[offset : offset + 1] != ",":
        what = "expected a comma or the end of the list or object"
        raise Flaw(offset, f"this is not JSON: {what}")
    return _skip(text, offset + 1)


def _text(text: str, offset: int) -> int:
    at = offset + 1
    end = text.find('"', at)
    if end > 0 and text[at:end].isprintable() and "\\" not in text[at:end]:
        return end + 1
    while at < len(text):
        character = text[at]
        if character == '"':
            return at + 1
        if character < " ":
            raise Flaw(
                at, f"this is not JSON: write {quoted(character)[1:-1]} as \\u{ord(character):04x}"
            )
        if character == "\\":
            at = _escape(text, at)
        else:
            at += 1
    raise Flaw(offset, "this is not JSON: the string that starts here does not end")


def _escape(text: str, at: int) -> int:
    letter = text[at + 1 : at + 2]
    if letter == "u":
        digits = text[at + 2 : at + 6]
        if len(digits) < 4 or digits.strip(_HEX):
            raise Flaw(at, "this is not JSON: four hexadecimal digits are needed behind \\u")
        return at + 6
    if not letter or letter not in '"\\/bfnrt':
        raise Flaw(at, f"this is not JSON: \\{quoted(letter)[1:-1]} means nothing in a string")
    return at + 2
