"""The sides of a difference of directories: what of a directory, or of one at a revision, may be a
plan, or hide one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from krunc_compiler.files import git
from krunc_compiler.files.boxfiles import ENDING, all_below, is_box_name
from krunc_compiler.files.source import read
from krunc_compiler.files.tree import unlisted
from krunc_compiler.files.within import Within, around
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.review.words import word
from krunc_compiler.verbs.reviewed import NOTHING

_LINK = "a link to {}"


class Text(NamedTuple):
    """Where a plan's text is: the file or the name in git, and git's object. It is `unread` for
    what stands there instead of a file."""

    path: str
    identity: str = ""
    unread: str = ""


def texts(side: str) -> dict[str, Text]:
    """Return what below SIDE may be a plan, or hide one, by its name without the ending. Raises
    Rejected and UsageError."""
    if side == NOTHING:
        return {}
    found = _of_git(side) if git.is_asked(side) else _of_directory(side)
    paths = {path for path, _ in found}
    return {_short(path, paths): text for path, text in found}


def _of_git(side: str) -> list[tuple[str, Text]]:
    found = []
    for one in git.files(side):
        unread = ""
        if one.is_link:
            unread = _LINK.format(word(one.target))
        elif one.target:
            unread = f"a submodule at {word(one.target)}"
        found.append((one.path, Text(git.below(side, one.path), one.identity, unread)))
    return found


def _of_directory(side: str) -> list[tuple[str, Text]]:
    tree = all_below(side)
    if tree.closed:
        raise Rejected([one for path, said in tree.closed for one in unlisted(path, said)])
    within = around([side], (), ())
    unread = dict.fromkeys(tree.odd, "a pipe, socket or device")
    for path in (*tree.files, *tree.links, *tree.odd):
        # As git's are: those that lead to a file of the repository are read, as a launch does.
        if os.path.islink(path) and not (os.path.isfile(path) and within.admits(path)):
            unread[path] = _LINK.format(word(os.readlink(path)))
    paths = (*tree.files, *tree.links, *tree.odd)
    return [(_below(side, path), Text(path, "", unread.get(path, ""))) for path in paths]


def _below(side: str, path: str) -> str:
    """Return the way from the directory SIDE to PATH, which was listed below it."""
    home = os.path.normpath(side)
    return path if home == "." else path[len(home.rstrip("/")) + 1 :]


def _short(path: str, paths: set[str]) -> str:
    """Return the name of the plan PATH: without the ending, where no other of PATHS is called
    so."""
    name = path.removesuffix(ENDING)
    return path if name in paths or not name else name


def variables(side: str) -> dict[str, Mapping[str, str]]:
    """Return the variables of the plans below the directory SIDE that are of a matrix, by their
    names. They are only what a text is told with, so a box that is wrong tells none."""
    if side == NOTHING or git.is_asked(side):
        return {}
    found: dict[str, Mapping[str, str]] = {}
    within = around([side], (), ())
    for path in filter(is_box_name, all_below(side).files):
        for name, row in _rows(path, within):
            home = os.path.dirname(_below(side, path))
            found[os.path.normpath(os.path.join(home, name))] = row
    return found


def _rows(path: str, within: Within) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names of the boxes that a matrix in the file PATH makes, and their variables."""
    with contained(path, []):
        name, text = read(path, within)
        if "matrix" in text:
            from krunc_compiler.pipeline.compiling import load_box, named_rows
            from krunc_compiler.values.inputs import Inputs

            for box, row in named_rows(load_box(name, text, Inputs(None, within=within))):
                yield (
                    str(box),
                    {key: str(value) for key, value in row.items() if isinstance(value, str | int)},
                )
