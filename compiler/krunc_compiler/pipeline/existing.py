"""The plan that a box has already: what it is for stays, unless somebody names another libkrun."""

from __future__ import annotations

import os
import re
from functools import cache

from krunc_compiler.files.contents import contents
from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.files.within import Within
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.libkrun import Target, target

# What no other file that krunc knows has at its start.
PLAN_MARK = b'"krunc_plan"'
# The name of a box and what a plan starts with are shorter by far.
_HEAD_BYTES = 4096
_BOX = rb'(?m)^"box": "([a-z0-9_.-]{1,63})",$'
_TARGET = rb'(?m)^"target": "([0-9.]{1,11})",$'


class Plans:
    """The plans that are there, as far as they are WITHIN what may be read. A box looks at its own
    twice, so that the last one that was read is kept."""

    def __init__(self, within: Within) -> None:
        self._within = within
        self._path = ""
        self._data = b""

    def content(self, path: str) -> bytes:
        """Return what is in the file PATH, and of what is too long for a plan, more than one may
        have. Raises Rejected, OSError, and ValueError for what can be no file's name."""
        if path != self._path:
            self._within.admit(path)
            self._data = contents(path, MAX_BYTES + 1)
            self._path = path
        return self._data

    def target_of(self, path: str) -> Target | None:
        """Return the libkrun that the plan in the file PATH is for; None where there is no plan as
        krunc writes it."""
        try:
            return _target(self.content(path)[:_HEAD_BYTES])
        except (OSError, ValueError, Rejected):
            return None  # who compares with it tells


def target_of(path: str, within: Within) -> Target | None:
    """Return the libkrun that the plan in the file PATH is for; None where there is no plan as
    krunc writes it, WITHIN what may be read."""
    return _target(_head(path, within))


def box_of(path: str, within: Within) -> str | None:
    """Return the name of the box of the plan in the file PATH, as `target_of` does."""
    return _said(_head(path, within), _BOX)


def same_plan(there: bytes, made: bytes) -> bool:
    """Tell whether the bytes THERE are those of the plan that was MADE, but for the ends of its
    lines, which git may check out as CR LF (core.autocrlf): in no string of JSON is either."""
    return there == made or _as_written(there) == made


def _head(path: str, within: Within) -> bytes:
    try:
        within.admit(path)
        return contents(path, _HEAD_BYTES)
    except (OSError, ValueError, Rejected):
        return b""  # who compares with it tells


def _target(head: bytes) -> Target | None:
    found = _said(head, _TARGET)
    return target(found) if found is not None else None


def _said(head: bytes, wanted: bytes) -> str | None:
    found = re.search(wanted, _as_written(head)) if PLAN_MARK in head else None
    return found[1].decode() if found else None


def _as_written(data: bytes) -> bytes:
    """Return DATA with the ends of lines that krunc writes."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def another_target(there: Target | None, now: str) -> str:
    """Tell that the plan that is THERE is for another libkrun than NOW, which its box is for."""
    if there is None or str(there) == now:
        return ""
    return f": it is for libkrun {there}, and the box is compiled for {now}"


@cache
def way(home: str, directory: str) -> str:
    """Return the way from DIRECTORY, in which a plan is, to HOME, in which its box is."""
    # realpath: relpath of two names of one directory is only then the way between them.
    return os.path.relpath(os.path.realpath(home), os.path.realpath(directory))
