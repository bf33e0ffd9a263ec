"""What a policy would have to say to allow what it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from krunc_compiler.files.hostpath import RUNTIME
from krunc_compiler.policy.paths import as_policy
from krunc_compiler.review.fact import Fact
from krunc_compiler.review.words import bare
from krunc_compiler.text.scalars import NoNumber, scalar


class Place(NamedTuple):
    """Where relative paths start: those of the plan, and those of the policy."""

    plan: str
    policy: str


class WayOut(NamedTuple):
    """How a key of a policy allows a fact: VERB and the values as YAML has them; a `path` is one
    as the plan has it. Without values or path there is no way but to remove the key."""

    verb: str = "add"
    values: tuple[str, ...] = ()
    path: str = ""

    def words(self, place: Place) -> str:
        """Return it as the end of a hint."""
        if self.path:
            wanted = as_policy(self.path, place.plan, place.policy)
            start = "" if os.path.isabs(wanted) or wanted.startswith(RUNTIME) else _start(place)
            return f"; to allow it, {self.verb} {bare(wanted)}{start}"
        return f"; to allow it, {self.verb} {', '.join(self.values)}" if self.values else ""


def _start(place: Place) -> str:
    return f" (relative paths start at {bare(os.path.relpath(place.policy))})"


# Facts of a plan that a key does not allow, each with how it would.
Found = Iterator[tuple[Fact, WayOut]]
NO_WAY = WayOut()


def for_path(target: object) -> WayOut:
    """Return how the path TARGET is allowed; what is no path is not."""
    return WayOut(path=target) if isinstance(target, str) else NO_WAY


def add(*values: str) -> WayOut:
    """Return that VALUES, which are strings in YAML, are added to the key's list."""
    return WayOut("add", tuple(map(_in_yaml, values)))


def _in_yaml(text: str) -> str:
    try:
        is_word = scalar(text) == text  # 3 would be a number, TRUE a boolean
    except NoNumber:
        is_word = False
    return bare(text) if is_word else f'"{text}"'


def write(value: int | str) -> WayOut:
    """Return that VALUE is written instead of what the key has."""
    return WayOut("write", (str(value),))
