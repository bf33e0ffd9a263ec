"""What the expressions of one file may cost together: a small file must not make a long wait."""

from __future__ import annotations

from typing import Any

# Some two seconds: an operation takes a microsecond, in which it looks at 200 characters.
_MOST = 300_000_000
OPERATION = 200
# What a step of Python's own costs, for an item of a list or a character.
STEP = 50

# What compiling a character of an expression costs: 25 microseconds.
_READING = 5_000


class TooMuchWork(Exception):
    """The expressions of one file cost more together than any box's do."""


class Work:
    """What is left, in characters looked at."""

    __slots__ = ("_known", "left")

    def __init__(self) -> None:
        self.left = _MOST
        self._known: set[str] = set()

    def read(self, expression: str) -> None:
        """Take what EXPRESSION costs to be evaluated at all; it is compiled once."""
        self.spend(OPERATION)
        if expression not in self._known:
            self._known.add(expression)
            self.spend(len(expression) * _READING)

    def spend(self, characters: int) -> None:
        """Take so many CHARACTERS; raises TooMuchWork when there are no more."""
        self.left -= characters
        if self.left < 0:
            raise TooMuchWork

    def weigh(self, value: Any, each: int = 1) -> None:
        """Take what it costs to look at all of VALUE, at EACH of its characters."""
        if isinstance(value, str):
            self.spend(len(value) * each)
        elif isinstance(value, list | tuple):
            self.spend(len(value) * STEP)
            for item in value:
                self.weigh(item, each)
        elif isinstance(value, dict):
            self.spend(len(value) * 2 * STEP)
            for key, item in value.items():
                self.weigh(key, each)
                self.weigh(item, each)
