"""Patterns of the schema as runs of characters, which the launcher compares a text with: without
`re`, and in a time that grows with the text alone."""

from __future__ import annotations

import re

# A run of characters, or a group of runs, and how often it stands.
_RUN = re.compile(r"(\[[^]]+]|\([^()]+\)|[A-Za-z0-9:=])(?:\{([0-9]+)(?:,([0-9]+))?}|([*+?]))?")
_OFTEN = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ENDLESS = 1 << 30


def runs(pattern: str) -> list[tuple[str, int, int]]:
    """Return the runs of characters that PATTERN describes: which, and how many at least and at
    most.

    Raises ValueError where a walk that takes as many characters as a run can have, and never goes
    back, would not tell what PATTERN tells.
    """
    found: list[tuple[str, int, int]] = []
    at = 0
    while at < len(pattern):
        run = _RUN.match(pattern, at)
        if run is None:
            raise ValueError(f"{pattern}: {pattern[at:]} is not a run of characters")
        what, least, most, often = run.groups()
        low, high = _OFTEN.get(often, (1, 1)) if least is None else (int(least), int(most or least))
        if what.startswith("("):
            if low != high:
                raise ValueError(f"{pattern}: the group {what} is repeated more or less often")
            found += runs(what[1:-1]) * low
        else:
            found.append((characters(what), low, _ENDLESS if high is None else high))
        at = run.end()
    for i, (taken, low, high) in enumerate(found):
        for following, needed, _ in found[i + 1 :]:
            if low != high and set(taken) & set(following):
                raise ValueError(f"{pattern}: where a run ends cannot be seen")
            if needed:
                break
    return found


def characters(pattern: str) -> str:
    """Return the characters of ASCII that PATTERN, a set of them, describes."""
    expression = re.compile(pattern.removesuffix("*"))
    return "".join(chr(code) for code in range(128) if expression.fullmatch(chr(code)))
