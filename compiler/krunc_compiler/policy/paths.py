"""Whether a path of a plan is among those that a policy allows, as both are written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache

from krunc_compiler.files.hostpath import RUNTIME

# No path of the host is longer (PATH_MAX), so none that is longer is allowed.
_LONGEST = 4095


def allowed(path: str, directory: str, patterns: Iterable[str], base: str) -> bool:
    """Tell whether PATH, of a plan in DIRECTORY, is one of PATTERNS, relative to BASE, or below
    one.

    Only the texts are compared: symbolic links are the host's, and not known here.
    """
    whole = _whole(path, directory)
    return any(_fits(whole, _whole(pattern, base).rstrip("/")) for pattern in patterns)


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
    if "*" not in pattern:
        return path == pattern or path.startswith(f"{pattern}/")
    return len(path) <= _LONGEST and _Wildcards(pattern).fits(path, and_below=True)


def is_image(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether the NAME of an image is one of PATTERNS, in which * stands for any characters
    but /, ** for any."""
    return any(
        name == pattern
        if "*" not in pattern
        else len(name) <= _LONGEST and _Wildcards(pattern).fits(name)
        for pattern in patterns
    )


def named(text: str, patterns: Iterable[str]) -> bool:
    """Tell whether TEXT is one of PATTERNS, in which * stands for any characters."""
    return any(
        text == pattern if "*" not in pattern else _named(text, pattern) for pattern in patterns
    )


def _named(text: str, pattern: str) -> bool:
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
