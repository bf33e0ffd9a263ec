"""Which files are boxes, and where their plans go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from krunc_schema import load

from krunc_compiler.files.contents import contents

ENDING: str = load("plan")["ending"]
_BOX_STARTS = (b"krunc:", b"{", b'"krunc"')


def below(folder: str) -> Iterator[str]:
    """The files below FOLDER, in order, but for those of hidden folders."""
    return _below(folder, lambda name: not name.startswith("."))


def plans_below(folder: str) -> Iterator[str]:
    """The plans below FOLDER, in order, also of hidden folders but git's own."""
    found = _below(folder, lambda name: name != ".git")
    return (path for path in found if path.endswith(ENDING))


def _below(folder: str, enters: Callable[[str], bool]) -> Iterator[str]:
    for home, folders, names in os.walk(folder):
        folders[:] = sorted(filter(enters, folders))
        start = os.path.normpath(home)
        for name in sorted(names):
            yield name if start == "." else os.path.join(start, name)


def is_yaml(path: str) -> bool:
    """Whether PATH may be a box by its name."""
    return path.endswith((".yaml", ".yml"))


def is_box(path: str) -> bool:
    """Whether the file PATH looks like a box, or cannot be read: that is reported when it is."""
    try:
        return is_box_text(contents(path))
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
