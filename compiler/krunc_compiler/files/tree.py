"""What lies below a directory: nothing is left out without a word."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Located
from krunc_compiler.findings.report import only
from krunc_compiler.findings.wording import why


class Tree(NamedTuple):
    """Files below a directory, links to directories, which are not followed, and directories that
    cannot be listed, with the reason. Pipes, sockets and devices are `odd`."""

    files: list[str]
    links: list[str]
    odd: list[str]
    closed: list[tuple[str, str]]


def tree(top: str, enters: Callable[[str], bool]) -> Tree:
    """List what lies below TOP, in order, but for directories whose names ENTERS does not take."""
    found = Tree([], [], [], [])
    waiting = [os.path.normpath(top)]
    while waiting:
        home = waiting.pop()
        try:
            with os.scandir(home) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except (OSError, ValueError) as error:
            said = why(error) if isinstance(error, OSError) else ""
            found.closed.append((home, said or "no directory can have such a name"))
            continue
        inner = []
        for entry in entries:
            path = entry.name if home == "." else os.path.join(home, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if enters(entry.name):
                    inner.append(path)
            else:
                _sort(entry, path, found)
        waiting += reversed(inner)
    return found


def _sort(entry: os.DirEntry[str], path: str, found: Tree) -> None:
    """Put the ENTRY that is no directory among the others of its kind in FOUND."""
    if not entry.is_symlink():
        (found.files if entry.is_file() else found.odd).append(path)
        return
    try:
        if entry.is_dir():
            found.links.append(path)
            return
        is_odd = not entry.is_file() and os.path.exists(path)
    except OSError:
        is_odd = False  # a link in a circle, for one; that is told when it is read
    # A link that leads nowhere is a file that cannot be read.
    (found.odd if is_odd else found.files).append(path)


def unlisted(path: str, said: str) -> list[Located]:
    """Tell that the directory PATH cannot be listed, as the system SAID."""
    hint = "make it readable, or name the files that are meant"
    return only(path, Finding("KR001", f"the directory cannot be read: {said}", hint=hint))
