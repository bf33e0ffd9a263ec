"""The lines of a box that ask for what its plan does, as addresses on the service that shows them.

The box is found by what git has beside the plan or, where no box there makes it, elsewhere. Of its
text and those of its bases nothing is worked out but what they extend. So a line can be missing;
none is wrong by more than that the box is not what the plan was made of, which `krunc check` tells.
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
from krunc_compiler.findings.finding import (
    Finding,
    Path,
    Place,
    Rejected,
    Source,
    dotted,
    reject,
)
from krunc_compiler.review.change_sheet import nowhere
from krunc_compiler.text.parsing import parse
from krunc_compiler.values.boxlike import is_like_box
from krunc_compiler.values.extending import load_by

# So many files beside a plan, or elsewhere, are read to find the box of a matrix.
_MOST = 200
_EXPRESSION = re.compile(r"\{\{.*?\}\}")
_LAST = re.compile(r"(?:\.[^.\[\]]+|\[\d+\])$")


class _Box(NamedTuple):
    """A box as it is written: the pattern of its names, the file and line of each key, and whether
    it has a base that cannot be read."""

    names: re.Pattern[str]
    lines: dict[str, tuple[str, int]]
    lacks_base: bool


class BoxLines:
    """The lines of the boxes among FILES, which START reads; ADDRESS is where the service shows the
    files of the commit."""

    def __init__(
        self, files: dict[str, Entry], start: Callable[[str, str], bytes], address: str
    ) -> None:
        self._files, self._start, self._address = files, start, address.rstrip("/")
        self._read: dict[str, _Box | None] = {}
        self._boxes = [path for path in files if is_box_name(path)]
        self._beside: dict[str, list[str]] = {}
        self._called: dict[str, list[str]] = {}
        for path in self._boxes:
            self._beside.setdefault(posixpath.dirname(path), []).append(path)
            self._called.setdefault(_stem(path), []).append(path)

    def of(self, plan: str, name: str) -> Callable[[str], str]:
        """Return what tells the address of the line with a key of the box called NAME, of which
        PLAN is the path of the plan: "" where there is none."""
        path = self._path(plan, name)
        box = self._box(path) if path else None
        if box is None:
            return nowhere

        def address(key: str) -> str:
            # A list of a base comes before the box's own, whose numbers are then others.
            shown = key.partition("[")[0] if box.lacks_base else key
            while shown and shown not in box.lines:
                shown = shown[: at.start()] if (at := _LAST.search(shown)) else ""
            if not shown:
                return ""
            file, line = box.lines[shown]
            return f"{self._address}/{quote(file.encode('utf-8', 'surrogateescape'))}#L{line}"

        return address

    def _path(self, plan: str, name: str) -> str:
        """Return the path of the box that PLAN is of: it has the plan's name, or it is the only one
        that can be called NAME, of those beside the plan or else of all."""
        called = self._called.get(posixpath.basename(plan).removesuffix(ENDING), [])
        home = posixpath.dirname(plan)
        beside = self._beside.get(home, [])
        here = [path for path in called if posixpath.dirname(path) == home]
        for among in (here, beside, called, self._boxes):
            found = [path for path in among[:_MOST] if self._may_be(path, name)]
            if found:
                return found[0] if len(found) == 1 and len(among) <= _MOST else ""
        return ""

    def _may_be(self, path: str, name: str) -> bool:
        box = self._box(path)
        return box is not None and box.names.fullmatch(name) is not None

    def _box(self, path: str) -> _Box | None:
        if path not in self._read:
            self._read[path] = self._parsed(path)
        return self._read[path]

    def _parsed(self, path: str) -> _Box | None:
        value: Any = None
        lacks_base = False
        with contained(path, []):  # krunc check tells what is wrong with it
            text = self._text(path)
            try:
                value, source = load_by(path, text, self._text)
            except Rejected:
                value, source = parse(path, text)
                lacks_base = isinstance(value, dict) and "extends" in value
        if not is_like_box(value):
            return None
        name = value.get("name", "{{ a base's }}" if "extends" in value else None)
        if not isinstance(name, str):
            return None
        parts = map(re.escape, _EXPRESSION.split(name))
        lines = {
            dotted(at): _line(place, path)
            for at, place in source.places.items()
            if _is_own(at, value)
        }
        return _Box(re.compile("[a-z0-9_.-]*".join(parts)), lines, lacks_base)

    def _text(self, path: str) -> str:
        """Return the text of a file of the commit. Raises Rejected where it has none there."""
        entry = self._files.get(path)
        if entry is None or not entry.is_file:
            raise reject(Source(path, "", {}), [Finding("KR001", "the commit has no such file")])
        return decode(path, self._start(path, entry.name))


def _stem(path: str) -> str:
    """Return how a plan of the box PATH is called without its ending."""
    return posixpath.splitext(posixpath.basename(path))[0]


def _line(place: Place, path: str) -> tuple[str, int]:
    """Return the file of PLACE, which is PATH if none is told, and its line."""
    file = path if place.source is None else place.source.name
    return file, (place.key or place.value).line + 1


def _is_own(path: Path, value: dict[str, Any]) -> bool:
    """Tell whether PATH is a key of the box, and no place for anchors."""
    return bool(path) and path[0] in value and not str(path[0]).startswith("x-")
