"""Whether a path of a plan is among those that a policy allows, as both are written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from krunc_compiler.files.hostpath import RUNTIME

# No path of the host is longer (PATH_MAX), so none that is longer is allowed.
_LONGEST = 4095
# Far above what any policy compares with a plan; they bound time for hostile ones: to a second or
# so.
MOST_STEPS = 4_000_000
# What it takes to compare one name, and how much of a pattern is followed in one step.
_NAME, _TOGETHER = 10, 256
_spent: ContextVar[list[int]] = ContextVar("spent")


class TooMuch(Exception):
    """A policy compares more with a plan than is sensible."""


@contextmanager
def bounded() -> Iterator[None]:
    """Compare no more than MOST_STEPS within: else TooMuch is raised."""
    token = _spent.set([0])
    try:
        yield
    finally:
        _spent.reset(token)


def spend(steps: int) -> None:
    """Count STEPS of what is compared."""
    spent = _spent.get(None)
    if spent is not None:
        spent[0] += steps
        if spent[0] > MOST_STEPS:
            raise TooMuch


def allowed(path: str, directory: str, patterns: Iterable[str], base: str) -> bool:
    """Tell whether PATH, of a plan in DIRECTORY, is one of PATTERNS, relative to BASE, or below
    one.

    Only the texts are compared: symbolic links are the host's, and not known here.
    """
    whole = _whole(path, directory)
    return any(_fits(whole, _whole(pattern, base).rstrip("/")) for pattern in patterns)


def allows(target: object, directory: str, patterns: Iterable[str], base: str) -> bool:
    """Tell whether TARGET is a path that is `allowed`; what is no path is not."""
    return isinstance(target, str) and allowed(target, directory, patterns, base)


def as_policy(path: str, directory: str, base: str) -> str:
    """Return PATH, of a plan in DIRECTORY, as a policy names it whose relative paths start at
    BASE."""
    whole = _whole(path, directory)
    if whole.startswith(RUNTIME):
        return RUNTIME + whole.removeprefix(RUNTIME).lstrip("/")
    if os.path.isabs(path):
        return path
    relative = os.path.relpath(whole, base)
    return relative if relative.startswith("..") else f"./{relative}"


def _whole(path: str, base: str) -> str:
    if path.startswith(RUNTIME):
        return RUNTIME + os.path.normpath("/" + path.removeprefix(RUNTIME)).rstrip("/")
    return os.path.abspath(os.path.join(base, path))


def _fits(path: str, pattern: str) -> bool:
    spend(_steps(path, pattern))
    if "*" not in pattern:
        return path == pattern or path.startswith(f"{pattern}/")
    return len(path) <= _LONGEST and _Wildcards(pattern).fits(path, and_below=True)


def _steps(text: str, pattern: str) -> int:
    """Tell what it takes to compare TEXT with PATTERN."""
    if "*" not in pattern or len(text) > _LONGEST:
        return _NAME + len(pattern) // 64
    return _NAME + len(pattern) + len(text) * (2 + len(pattern) // _TOGETHER)


def is_image(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether the NAME of an image is one of PATTERNS, in which * stands for any characters
    but /, ** for any."""
    return any(_is_image(name, pattern) for pattern in patterns)


def _is_image(name: str, pattern: str) -> bool:
    spend(_steps(name, pattern))
    if "*" not in pattern:
        return name == pattern
    return len(name) <= _LONGEST and _Wildcards(pattern).fits(name)


def named(text: str, patterns: Iterable[str]) -> bool:
    """Tell whether TEXT is one of PATTERNS, in which * stands for any characters."""
    return any(_named(text, pattern) for pattern in patterns)


def _named(text: str, pattern: str) -> bool:
    spend(_steps(text, pattern))
    if "*" not in pattern:
        return text == pattern
    return len(text) <= _LONGEST and _Wildcards(re.sub(r"\*+", "**", pattern)).fits(text)


@lru_cache(256)
class _Wildcards:
    """A pattern in which * stands for any characters but /, ** for any.

    All ways to read it are followed at once, a bit for each place in the pattern: a text takes a
    step for each of its characters, however many stars there are.
    """

    def __init__(self, pattern: str) -> None:
        self._any = self._star = 0
        self._letters: dict[str, int] = {}
        parts = re.findall(r"\*+|[^*]", pattern)
        for i, part in enumerate(parts):
            bit = 1 << i
            if part == "*":
                self._star |= bit
            elif part[0] == "*":
                self._any |= bit
            else:
                self._letters[part] = self._letters.get(part, 0) | bit
        self._end = 1 << len(parts)

    def fits(self, text: str, and_below: bool = False) -> bool:
        """Tell whether all of TEXT fits, or all before one of its slashes when AND_BELOW is
        asked."""
        stars = self._any | self._star
        at = 1 | (1 & stars) << 1
        for character in text:
            if and_below and character == "/" and at & self._end:
                return True
            stay = at & (self._any if character == "/" else stars)
            at = (at & self._letters.get(character, 0)) << 1 | stay
            at |= (at & stars) << 1
            if not at:
                return False
        return bool(at & self._end)
