"""Which files are boxes, and where their plans go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from krunc_compiler.files.contents import contents
from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.findings.finding import Finding, Located
from krunc_compiler.findings.report import only

ENDING = ".plan.json"
_BOX_STARTS = (b"krunc:", b"{", b'"krunc"')


def below(folder: str, unread: list[Located]) -> Iterator[str]:
    """The files below FOLDER, in order, but for those of hidden folders. UNREAD gets a finding for
    each folder that cannot be read."""
    return _below(folder, lambda name: not name.startswith("."), unread)


def plans_below(folder: str, unread: list[Located]) -> Iterator[str]:
    """The plans below FOLDER, as `below`, but also of hidden folders except git's own."""
    found = _below(folder, lambda name: name != ".git", unread)
    return (path for path in found if path.endswith(ENDING))


def _below(folder: str, enters: Callable[[str], bool], unread: list[Located]) -> Iterator[str]:
    """Without recursion: a stranger's folders can be deeper than Python goes."""
    waiting = [os.path.normpath(folder)]
    while waiting:
        home = waiting.pop()
        folders, names = [], []
        try:
            with os.scandir(home) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif not (entry.is_symlink() and os.path.isdir(entry.path)):
                        names.append(entry.name)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            hint = "make it readable, or name the files that are meant"
            unread += only(
                home, Finding("KR001", f"the directory cannot be read: {why}", hint=hint)
            )
            continue
        start = "" if home == "." else os.path.join(home, "")
        yield from (start + name for name in sorted(names))
        waiting += [start + name for name in sorted(filter(enters, folders), reverse=True)]


def is_yaml(path: str) -> bool:
    """Whether PATH may be a box by its name."""
    return path.endswith((".yaml", ".yml"))


def is_box(path: str) -> bool:
    """Whether the file PATH looks like a box, or cannot be read: that is reported when it is."""
    try:
        return is_box_text(contents(path, MAX_BYTES))
    except OSError:
        return True


def is_box_text(data: bytes) -> bool:
    """Whether a file with this text looks like a box: it has a key `krunc` at its left."""
    return data.startswith(_BOX_STARTS) or any(b"\n" + start in data for start in _BOX_STARTS)


def plan_file(box: str, of_matrix: str | None = None) -> str:
    """Where the plan of the file BOX goes, or of its box OF_MATRIX."""
    return os.path.join(os.path.dirname(box), plan_name(box, of_matrix))


def plan_name(box: str, of_matrix: str | None = None) -> str:
    """How the plan of the file BOX is called; one of a matrix is named after its box, OF_MATRIX."""
    stem = "stdin" if box == "-" else os.path.splitext(os.path.basename(box))[0]
    return (of_matrix or stem) + ENDING
