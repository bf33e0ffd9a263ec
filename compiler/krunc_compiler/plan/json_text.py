"""The JSON text of a plan: its value, what in it is wrong and where, and the places of its values.

json's scanner gives the quick yes. The scanner here, which is asked for the why and for places,
takes the same texts, and both take those that the launcher takes (`text/reading`, `json_errors`);
tests/plan/test_plan_json.py holds all of them equal.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from contextlib import suppress
from typing import Any

from krunc_compiler.findings.finding import Finding, Path, Place, Source, Span, reject
from krunc_compiler.findings.wording import shown
from krunc_compiler.plan.bounds import most, too_many
from krunc_compiler.text.strict_json import once

_AGAIN = "compile the box again"
_BY_HAND = f"{_AGAIN}; a plan is not edited by hand"
_BLANKS = re.compile("[ \t\r\n]*")
_WORD = re.compile("[^ \t\r\n,\\]}]*")
# A string up to its closing quote, or as far as it is one.
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')


def value_of(source: Source) -> Any:
    """Return the value of the text of SOURCE: no key twice, whole numbers only, nothing behind it,
    and no more than its readers take. Raises Rejected."""
    text = source.text
    try:
        value = strict(text)
        if not too_many(value, text):
            return value
    except (ValueError, RecursionError):
        pass  # the scanner has better words
    try:
        _Scanner(text).whole()
    except _Flaw as flaw:
        raise reject(source, [flaw.finding]) from None
    raise AssertionError("what is wrong was found by one of two readers")


def strict(text: str, level: int = 1) -> Any:
    """Return the value of TEXT, which stands at LEVEL of a plan. Raises ValueError and
    RecursionError, without words."""
    value = _DECODER.decode(text)
    # What nests has an opening for each level, so few texts need the walk.
    if text.count("{") + text.count("[") > most("depth") - level and _is_deep(value, level):
        raise ValueError
    return value


def places(text: str) -> dict[Path, Place]:
    """Return the places of the values in TEXT, as far as it is a plan's JSON."""
    scanner = _Scanner(text)
    with suppress(_Flaw):
        scanner.whole()
    return scanner.places


def _integer(text: str) -> int:
    # Before it is a number: Python takes long for one of a million digits, or refuses it.
    if len(text) > most("digits"):
        raise ValueError
    return int(text)


def _refused(text: str) -> Any:
    raise ValueError(text)


# json.loads would make one for each text.
_DECODER = json.JSONDecoder(
    object_pairs_hook=once, parse_int=_integer, parse_float=_refused, parse_constant=_refused
)


def _is_deep(value: Any, level: int) -> bool:
    if level > most("depth"):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(_is_deep(item, level + 1) for item in inner)


class _Flaw(Exception):
    """The text is wrong at a place, as the finding says."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class _Scanner:
    """A text, and the places of the values that were found in it."""

    def __init__(self, text: str) -> None:
        self.places: dict[Path, Place] = {}
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._left = most("values")

    def whole(self) -> None:
        """Find the places of all values. Raises _Flaw at the first thing that no plan has."""
        if self._text.startswith("\ufeff"):
            hint = "save the file as UTF-8 without it"
            raise self._flaw(0, (), "a byte order mark is before the plan", hint)
        end = self._behind(self._value(self._behind(0), (), None))
        if end < len(self._text):
            hint = f"remove what is not of the plan, or {_AGAIN}"
            raise self._flaw(end, (), f"{self._found(end)} is behind the plan", hint)

    def _value(self, at: int, path: Path, key: Span | None) -> int:
        """Find the value at AT, and return where it ends."""
        if len(path) >= most("depth"):
            hint = f"write at most {most('depth')} levels"
            raise self._flaw(at, path, "the plan is nested too deeply", hint)
        self._count(at, path)
        self.places[path] = Place(self._span(at, at + 1), key)
        match self._text[at : at + 1]:
            case '"':
                end = self._string(at, path)
            case "{":
                end = self._object(at, path)
            case "[":
                end = self._list(at, path)
            case _:
                end = self._word(at, path)
        self.places[path] = Place(self._span(at, end), key)
        return end

    def _object(self, at: int, path: Path) -> int:
        at = self._behind(at + 1)
        if self._text[at : at + 1] == "}":
            return at + 1
        while True:
            end, inner = self._key(at, path)
            at = self._behind(self._value(self._behind(end + 1), inner, self._span(at, end)))
            if self._text[at : at + 1] == "}":
                return at + 1
            at = self._comma(at, path, "}")

    def _key(self, at: int, path: Path) -> tuple[int, Path]:
        """Return where the colon behind the key at AT stands, and the path of the key's value."""
        if self._text[at : at + 1] != '"':
            raise self._no_json(at, path, "a key in double quotes")
        end = self._string(at, path)
        name: str = json.loads(self._text[at:end])
        inner = (*path, name)
        if inner in self.places:
            first = self.places[inner].key
            assert first is not None
            said = f"duplicate key {shown(name)}; the first is on line {first.line + 1}"
            raise self._flaw(at, inner, said, f"keep one of them, or {_AGAIN}", end)
        self._count(at, inner)
        end = self._behind(end)
        if self._text[end : end + 1] != ":":
            raise self._no_json(end, inner, "a colon behind the key")
        return end, inner

    def _list(self, at: int, path: Path) -> int:
        at = self._behind(at + 1)
        if self._text[at : at + 1] == "]":
            return at + 1
        index = 0
        while True:
            at = self._behind(self._value(at, (*path, index), None))
            if self._text[at : at + 1] == "]":
                return at + 1
            at = self._comma(at, path, "]")
            index += 1

    def _comma(self, at: int, path: Path, end: str) -> int:
        if self._text[at : at + 1] != ",":
            raise self._no_json(at, path, f"a comma or {end}")
        return self._behind(at + 1)

    def _string(self, at: int, path: Path) -> int:
        """Return where the string at AT ends."""
        match = _STRING.match(self._text, at)
        assert match is not None
        end = match.end()
        wrong = self._text[end : end + 1]
        if wrong == '"':
            return end + 1
        if not wrong:
            said = "this is not JSON: the string that starts here does not end"
            raise self._flaw(at, path, said, f"check whether the file is cut off; {_AGAIN}")
        if wrong != "\\":
            said = f"this is not JSON: the character U+{ord(wrong):04X} is in a string"
            raise self._flaw(end, path, said, f"write it as \\u{ord(wrong):04x}")
        said = f"this is not JSON: \\{self._text[end + 1 : end + 2]} means nothing in a string"
        hint = 'write one of \\" \\\\ \\/ \\b \\f \\n \\r \\t, and \\u with four hexadecimal digits'
        raise self._flaw(end, path, said, hint, end + 2)

    def _word(self, at: int, path: Path) -> int:
        """Return where the value at AT ends, which is no string, list or object."""
        word = self._upto(at)
        end = at + len(word)
        digits = word.removeprefix("-")
        if word in ("true", "false", "null"):
            return end
        if not (digits.isascii() and digits.isdigit()):
            if digits in ("NaN", "Infinity") or digits[:1] in tuple("0123456789"):
                said = f"{word[: most('digits')]} is not an integer"
                raise self._flaw(
                    at, path, said, "write an integer: a plan has no other numbers", end
                )
            raise self._no_json(at, path, "a value")
        if len(word) > most("digits"):
            said = f"a number of {len(word):,} digits"
            raise self._flaw(at, path, said, f"write at most {most('digits')} digits", end)
        if digits[0] == "0" and digits != "0":
            said = f"this is not JSON: {word} starts with 0"
            raise self._flaw(at, path, said, "write a number without zeros before it", end)
        return end

    def _count(self, at: int, path: Path) -> None:
        self._left -= 1
        if self._left < 0:
            hint = f"{_AGAIN}: no plan needs so many"
            raise self._flaw(at, path, f"the plan has more than {most('values'):,} values", hint)

    def _behind(self, at: int) -> int:
        """Return where the blanks at AT end."""
        match = _BLANKS.match(self._text, at)
        assert match is not None
        return match.end()

    def _upto(self, at: int) -> str:
        """Return the text from AT to the next thing that ends a word."""
        match = _WORD.match(self._text, at)
        assert match is not None
        return match.group()

    def _found(self, at: int) -> str:
        """Tell what stands at AT."""
        if at == len(self._text):
            return "the end of the plan"
        word = self._upto(at) or self._text[at]
        return word if word.isalnum() and len(word) <= most("digits") else shown(word)

    def _no_json(self, at: int, path: Path, wanted: str) -> _Flaw:
        said = f"this is not JSON: expected {wanted}, got {self._found(at)}"
        end = at + max(1, len(self._upto(at)))
        hint = f"check whether the file is cut off; {_AGAIN}" if at == len(self._text) else _BY_HAND
        return self._flaw(at, path, said, hint, end)

    def _flaw(self, at: int, path: Path, said: str, hint: str, end: int = 0) -> _Flaw:
        return _Flaw(Finding("KR401", said, path, hint, span=self._span(at, end or at + 1)))

    def _span(self, start: int, end: int) -> Span:
        first = bisect_right(self._lines, start) - 1
        last = bisect_right(self._lines, end) - 1
        return Span(first, start - self._lines[first], last, end - self._lines[last])
