"""Paths of the host, as far as their texts tell."""

from __future__ import annotations

import posixpath
from functools import lru_cache

from krunc_schema import load

# A path of the directory of the run, which the launcher knows.
RUNTIME: str = load("plan")["runtime"]
# One of the directory of a single launch, which only the stage's own operations name.
LAUNCH: str = load("plan")["launch"]
# A root of the images' store, which the launcher knows.
STORE: str = load("plan")["store"]
_NAMED = (RUNTIME, LAUNCH, STORE)


_RULES = load("plan")["kinds"]["host_path"]


# Several rules look at a path of a box, and its plan has it twice. Few are kept: one may be long.
_KEPT = 32


@lru_cache(_KEPT)
def normal(path: str) -> str:
    """Return PATH in one form: no `..` or `//` that can go, /run for /var/run."""
    path = posixpath.normpath(path)
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    # /var/run is a link to /run wherever there is a /run.
    return "/run" + path[8:] if path == "/var/run" or path[:9] == "/var/run/" else path


@lru_cache(_KEPT)
def seen_from(directory: str, path: str) -> str:
    """Return PATH from the place that leads to DIRECTORY. What begins with `/` or `runtime:` stays;
    a directory that is only called runtime: stays one."""
    if path.startswith(("/", *_NAMED)):
        return path
    return plain(posixpath.normpath(posixpath.join(directory, path)))


def plain(path: str) -> str:
    """Return PATH, which lost a `./` in front of it, so that it still means no directory of the
    run."""
    return f"./{path}" if path.startswith(_NAMED) else path


def is_view(path: str) -> bool:
    """Tell whether PATH, by its text, is of proc, which shows processes and has no files."""
    return path.startswith("/") and _lies_in(path, _RULES["views"])


@lru_cache(_KEPT)
def holds_devices(path: str) -> bool:
    """Tell whether PATH, by its text, is or can be a device of the host or a directory that holds
    some."""
    devices = _lies_in(path, _RULES["devices"]) and not _lies_in(path, _RULES["no_devices"])
    return devices or _may_be_top(path)


@lru_cache(_KEPT)
def holds_views(path: str) -> bool:
    """Tell whether PATH, by its text, is or can be of proc or a directory that holds it."""
    return _lies_in(path, _RULES["views"]) or _may_be_top(path)


def _may_be_top(path: str) -> bool:
    start, ups, names = _steps(path)
    return not names and (start == "/" or ups > _FEW)


def _lies_in(path: str, directories: list[str]) -> bool:
    return any(may_lie_in(path, directory) for directory in directories)


# What goes up by more steps than these, from a place that is not known, may have come to /.
_FEW = 2


def may_lie_in(inner: str, outer: str) -> bool:
    """Tell whether the path INNER can be OUTER or below it, for all that their texts tell.

    A path that goes up by `..` further than another passes directories of any name on its way
    down. One that only goes up can hold whatever is named from elsewhere. Of other paths that
    start at different places the texts tell nothing: they are taken for apart.
    """
    (start, ups, names), (outer_start, outer_ups, outer_names) = _steps(inner), _steps(outer)
    if start != outer_start:
        if not outer_names and (outer_start == "/" or (outer_start == "" and outer_ups)):
            return True
        # What goes up far may have come to /, where the other starts.
        if {start, outer_start} != {"/", ""} or max(ups, outer_ups) <= _FEW:
            return False
        ups = outer_ups = 0
    further = outer_ups - ups
    if further >= 0:
        rest = outer_names[further:]
        return names[: len(rest)] == rest
    return len(names) >= len(outer_names) - further and (
        names[-further : len(outer_names) - further] == outer_names
    )


@lru_cache(_KEPT)
def _steps(path: str) -> tuple[str, int, tuple[str, ...]]:
    """Return where PATH starts (`/`, a directory that the launcher knows, or ""), by how many
    steps it goes up from there, and the names on its way down."""
    start = next((one for one in ("/", *_NAMED) if path.startswith(one)), "")
    text = normal(path)
    names = [one for one in text.removeprefix(start).split("/") if one not in ("", ".")]
    ups = names.count("..")
    return start, ups, tuple(names[ups:])


# The directory of a box and those above it, as `normal` writes them.
UPS = [".", *("/".join([".."] * count) for count in range(1, 20))]


@lru_cache(_KEPT)
def lying_in(path: str) -> tuple[str, ...]:
    """Return the directories that PATH lies in, as far as its text tells, from the inside out."""
    text = normal(path)
    ups, end = text.split("/").count(".."), len(text)
    found = []
    for _ in range(text.count("/") - ups):
        end = text.rindex("/", 0, end)
        found.append(text[:end] or "/")
    if path.startswith(("/", *_NAMED)):
        return tuple(found)
    # Whatever the directory of the box is, it lies in /.
    return (*found, *UPS[ups:], "/")
