"""The lines of a box that ask for what its plan does, as addresses on the service that shows them.

The box is found by what git has beside the plan, and its text alone is read: nothing of it is
worked out. So a line can be missing, as that of a key which the box has of a base; none is wrong by
more than that the box is not what the plan was made of, which `krunc check` tells.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from krunc_compiler.files.boxfiles import ENDING, is_box_name
from krunc_compiler.files.commits import Entry
from krunc_compiler.files.source import decode
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Path, Place, dotted
from krunc_compiler.review.change_sheet import nowhere
from krunc_compiler.text.parsing import parse

# So many files beside a plan are read to find the box of a matrix.
_MOST = 200
_EXPRESSION = re.compile(r"\{\{.*?\}\}")
_LAST = re.compile(r"(?:\.[^.\[\]]+|\[\d+\])$")


class _Box(NamedTuple):
    """A box as it is written: the pattern of its names, and the line of each key."""

    names: re.Pattern[str]
    lines: dict[str, int]
    extends: bool


class BoxLines:
    """The lines of the boxes among FILES, which START reads; ADDRESS is where the service shows the
    files of the commit."""

    def __init__(
        self, files: dict[str, Entry], start: Callable[[str, str], bytes], address: str
    ) -> None:
        self._files, self._start, self._address = files, start, address.rstrip("/")
        self._read: dict[str, _Box | None] = {}
        self._beside: dict[str, list[str]] = {}
        for path in files:
            if is_box_name(path):
                self._beside.setdefault(posixpath.dirname(path), []).append(path)

    def of(self, plan: str, name: str) -> Callable[[str], str]:
        """Return what tells the address of the line with a key of the box called NAME, of which
        PLAN is the path of the plan: "" where there is none."""
        path = self._path(plan, name)
        box = self._box(path) if path else None
        if box is None:
            return nowhere
        start = f"{self._address}/{quote(path.encode('utf-8', 'surrogateescape'))}"

        def address(key: str) -> str:
            # A list of a base comes before the box's own, whose numbers are then others.
            shown = key.partition("[")[0] if box.extends else key
            while shown and shown not in box.lines:
                shown = shown[: at.start()] if (at := _LAST.search(shown)) else ""
            return f"{start}#L{box.lines[shown]}" if shown else ""

        return address

    def _path(self, plan: str, name: str) -> str:
        """Return the path of the box that PLAN is of: it has the plan's name, or it is the only one
        beside the plan that can be called NAME."""
        stem = plan.removesuffix(ENDING)
        for path in (f"{stem}.yaml", f"{stem}.yml"):
            if path in self._files and self._may_be(path, name):
                return path
        beside = self._beside.get(posixpath.dirname(plan), [])
        found = [path for path in beside[:_MOST] if self._may_be(path, name)]
        return found[0] if len(found) == 1 and len(beside) <= _MOST else ""

    def _may_be(self, path: str, name: str) -> bool:
        box = self._box(path)
        return box is not None and box.names.fullmatch(name) is not None

    def _box(self, path: str) -> _Box | None:
        if path not in self._read:
            self._read[path] = self._parsed(path)
        return self._read[path]

    def _parsed(self, path: str) -> _Box | None:
        entry = self._files[path]
        if not entry.is_file:
            return None
        value: Any = None
        with contained(path, []):  # krunc check tells what is wrong with it
            value, source = parse(path, decode(path, self._start(path, entry.name)))
        if not isinstance(value, dict):
            return None
        name = value.get("name", "{{ a base's }}" if "extends" in value else None)
        if not isinstance(name, str):
            return None
        parts = map(re.escape, _EXPRESSION.split(name))
        lines = {
            dotted(at): _line(place) for at, place in source.places.items() if _is_own(at, value)
        }
        return _Box(re.compile("[a-z0-9_.-]*".join(parts)), lines, "extends" in value)


def _line(place: Place) -> int:
    return (place.key or place.value).line + 1


def _is_own(path: Path, value: dict[str, Any]) -> bool:
    """Tell whether PATH is a key of the box, and no place for anchors."""
    return bool(path) and path[0] in value and not str(path[0]).startswith("x-")
