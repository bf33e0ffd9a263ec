"""Regular expressions of policies, in time that grows with the text and not with its tricks.

Python's own matcher tries one way after another, and for some patterns their number doubles with
each character. Here Python parses the pattern, and all ways are followed at once, as in Thompson's
construction (Programming techniques: Regular expression search algorithm, CACM 11(6), 1968).
What cannot be matched so, such as a look ahead or a reference to a group, is refused.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from krunc_compiler.shape.patterns import of_python

if sys.version_info >= (3, 11):
    from re import _constants as names  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_constants as names
    import sre_parse as parser

# States of one pattern: repetitions with numbers are written out.
_MOST_STATES = 2_000
# What all patterns of a schema may have together.
MOST_TOGETHER = 100_000
# As many states of a matcher are remembered as no pattern has that is sensible.
_REMEMBERED = 5_000
# What it takes to start, and to tell what is around a character, in steps.
_SEARCH, _PLACED = 10, 8
_FITS: dict[str, Callable[[str], Any]] = {
    f"CATEGORY_{prefix}{kind}": re.compile(written).match
    for kind, letter in (("DIGIT", "d"), ("SPACE", "s"), ("WORD", "w"))
    for prefix, written in (("", f"\\{letter}"), ("NOT_", f"\\{letter.upper()}"))
}
_is_word = _FITS["CATEGORY_WORD"]
_UNKNOWN = {
    "ASSERT": "a look ahead or behind",
    "ASSERT_NOT": "a look ahead or behind",
    "GROUPREF": "a reference to a group",
    "GROUPREF_EXISTS": "a condition",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
}

_Fits = Callable[[str], Any]
_Row = tuple[str, Any]  # ("take", fits), ("split", places), ("at", name), ("end", None)
_Node = tuple[Any, Any]


_Place = tuple[bool, ...]


class _State(NamedTuple):
    """Whether the end is reached without another character, the rows that take one, how much these
    compare it with, and the states that are known to follow one at a place."""

    ends: bool
    taking: list[int]
    weight: int
    next: dict[tuple[str, _Place], _State]


class Unmatchable(ValueError):
    """The text is no regular expression, or one that is not matched here."""


class Pattern:
    """A regular expression that is searched for, as Python's re does."""

    def __init__(self, pattern: str) -> None:
        self._rows: list[_Row] = []
        self._weights: dict[int, int] = {}
        self._written: dict[tuple[str, int], _Fits] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what may mean something else one day
                parsed: Any = parser.parse(pattern)
            if parsed.state.flags & ~re.UNICODE:
                raise Unmatchable("a pattern with flags, such as (?i), is not matched")
            self._write(list(parsed))
        except (re.error, OverflowError) as error:
            raise Unmatchable(f"a pattern is not a regular expression: {error}") from None
        except RecursionError:
            raise Unmatchable("a pattern has too many groups within groups") from None
        self._add("end", None)
        self._written.clear()  # its numbers are those of what was parsed
        self._has_places = any(kind == "at" for kind, _ in self._rows)
        self._states: dict[tuple[frozenset[int], _Place], _State] = {}

    @property
    def size(self) -> int:
        """Tell how many states it has."""
        return len(self._rows)

    def search(self, text: str, spend: Callable[[int], None]) -> bool:
        """Tell whether the pattern is found in TEXT; SPEND is told of each step and may raise."""
        spend(_SEARCH + len(text) * (_PLACED if self._has_places else 1))
        where = _place(text, 0) if self._has_places else ()
        state = self._state(frozenset([0]), where, spend)
        for i, character in enumerate(text, 1):
            if state.ends:
                return True
            if self._has_places:
                where = _place(text, i)
            next_state = state.next.get((character, where))
            if next_state is None:
                spend(state.weight)
                took = (row + 1 for row in state.taking if self._rows[row][1](character))
                next_state = self._state(frozenset([0, *took]), where, spend)
                state.next[character, where] = next_state
            state = next_state
        return state.ends

    def _state(self, at: frozenset[int], where: _Place, spend: Callable[[int], None]) -> _State:
        if (at, where) not in self._states:
            spend(len(self._rows))
            if len(self._states) >= _REMEMBERED:
                for state in self._states.values():
                    state.next.clear()
                self._states.clear()
            self._states[at, where] = self._reached(at, where)
        return self._states[at, where]

    def _reached(self, at: frozenset[int], where: _Place) -> _State:
        """Return the state of a matcher that is at the rows AT."""
        seen: set[int] = set()
        waiting, taking, ends = list(at), [], False
        while waiting:
            row = waiting.pop()
            if row in seen:
                continue
            seen.add(row)
            kind, value = self._rows[row]
            if kind == "take":
                taking.append(row)
            elif kind == "split":
                waiting += value
            elif kind == "end":
                ends = True
            elif where[value]:
                waiting.append(row + 1)
        return _State(ends, taking, sum(self._weights[row] for row in taking), {})

    def _add(self, kind: str, value: Any) -> int:
        if len(self._rows) >= _MOST_STATES:
            raise Unmatchable(f"a pattern has more than {_MOST_STATES:,} states")
        self._rows.append((kind, value))
        return len(self._rows) - 1

    def _write(self, nodes: list[_Node]) -> None:
        for name, value in nodes:
            kind = str(name)
            if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
                self._weights[len(self._rows)] = len(value) if kind == "IN" else 1
                same = (kind, id(value))
                if same not in self._written:  # of what is repeated, each time the same
                    self._written[same] = _one(kind, value)
                self._add("take", self._written[same])
            elif kind == "BRANCH":
                self._branch(value[1])
            elif kind == "SUBPATTERN":
                if value[1] or value[2]:
                    raise Unmatchable("a pattern with flags, such as (?i), is not matched")
                self._write(list(value[3]))
            elif kind in ("MAX_REPEAT", "MIN_REPEAT"):
                self._repeat(*value)
            elif kind == "AT" and str(value) in _PLACES:
                self._add("at", _PLACES.index(str(value)))
            else:
                said = _UNKNOWN.get(kind, kind.lower())
                raise Unmatchable(f"a pattern with {said} is not matched")

    def _branch(self, branches: list[Any]) -> None:
        split = self._add("split", [])
        ends = []
        for nodes in branches:
            self._rows[split][1].append(len(self._rows))
            self._write(list(nodes))
            ends.append(self._add("split", []))
        for end in ends:
            self._rows[end][1].append(len(self._rows))

    def _repeat(self, least: int, most: Any, nodes: Any) -> None:
        for _ in range(least):
            before = len(self._rows)
            self._write(list(nodes))
            if len(self._rows) == before:
                break  # nothing, however often
        if most is names.MAXREPEAT:
            split = self._add("split", [len(self._rows) + 1])
            self._write(list(nodes))
            self._add("split", [split])
            self._rows[split][1].append(len(self._rows))
            return
        splits = []
        for _ in range(most - least):
            splits.append(self._add("split", [len(self._rows) + 1]))
            self._write(list(nodes))
        for split in splits:
            self._rows[split][1].append(len(self._rows))


# Where a text is between two characters; _place has them in this order.
_PLACES = (
    "AT_BEGINNING", "AT_BEGINNING_STRING", "AT_END", "AT_END_STRING", "AT_BOUNDARY",
    "AT_NON_BOUNDARY",
)  # fmt: skip


def _place(text: str, i: int) -> _Place:
    first, last = i == 0, i == len(text)
    before = not first and _is_word(text[i - 1]) is not None
    after = not last and _is_word(text[i]) is not None
    ends = last or (i == len(text) - 1 and text[i] == "\n")
    return (first, first, ends, last, before != after, before == after)


def _one(kind: str, value: Any) -> _Fits:
    """Tell what a character must be that takes one step."""
    if kind == "ANY":
        return lambda character: character != "\n"
    if kind == "LITERAL":
        return chr(value).__eq__
    if kind == "NOT_LITERAL":
        return chr(value).__ne__
    named = [(str(name), item) for name, item in value]
    negated = ("NEGATE", None) in named
    ranges = [(chr(item[0]), chr(item[1])) for name, item in named if name == "RANGE"]
    kinds = [_FITS[str(item)] for name, item in named if name == "CATEGORY"]
    literals = "".join(chr(item) for name, item in named if name == "LITERAL")

    def fits(character: str) -> bool:
        return negated != (
            character in literals
            or any(first <= character <= last for first, last in ranges)
            or any(kind(character) for kind in kinds)
        )

    return fits


@lru_cache(20_000)  # all of any one schema
def pattern(text: str) -> Pattern:
    """Return the regular expression TEXT of a JSON Schema; raises Unmatchable."""
    return Pattern(of_python(text))


def patterns_of(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Yield each pattern of a JSON Schema and its place. What is a plain value in it is left
    alone."""
    if isinstance(schema, list):
        for i, item in enumerate(schema):
            yield from patterns_of(item, (*path, i))
    elif isinstance(schema, dict):
        for key, item in schema.items():
            where = (*path, key)
            if key == "pattern" and isinstance(item, str):
                yield where, item
            elif key == "patternProperties" and isinstance(item, dict):
                yield from (((*where, one), one) for one in item)
                yield from patterns_of(item, where)
            elif key not in ("const", "enum", "default", "examples"):
                yield from patterns_of(item, where)
