"""How much of the host a change reaches, beside others of its kind: the widest stands first."""

from __future__ import annotations

import posixpath

from krunc_compiler.review.fact import Fact, Reach

# All of a kind, then absolute paths from the top down, then what leaves the plan's directory.
_ALL, _TOP, _UP, _INSIDE = range(4)
# That of what nobody has looked at.
WIDEST = (_ALL, 0)


def breadth(was: Fact | None, now: Fact | None) -> tuple[int, int]:
    """Return a key that sorts the change from WAS to NOW before narrower ones: by the widest thing
    that only one of them reaches."""
    old, new = (one.reach if one else frozenset() for one in (was, now))
    return min(map(_width, new - old or old - new), default=(_INSIDE, 0))


def is_inside(reach: Reach) -> bool:
    """Tell whether REACH stays in the plan's directory, and below it."""
    return isinstance(reach.target, str) and _width(reach) == (_INSIDE, 0) and reach.target != "."


def _width(reach: Reach) -> tuple[int, int]:
    target = reach.target
    if target is None:
        return _ALL, 0
    if isinstance(target, int):
        return _INSIDE, -target
    parts = posixpath.normpath(target).split("/")
    if target.startswith("/"):
        return _TOP, sum(map(bool, parts))
    ups = parts.count("..")
    return (_UP, -ups) if ups else (_INSIDE, 0)
