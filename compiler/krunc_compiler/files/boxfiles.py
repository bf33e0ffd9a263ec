"""How boxes and plans are called, and where they lie."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from krunc_schema import load

if TYPE_CHECKING:
    from krunc_compiler.files.tree import Tree

ENDING: str = load("plan")["ending"]
LOCK_ENDING = ".lock.json"
_BOX_ENDINGS = (".yaml", ".yml")


def below(directory: str) -> Tree:
    """List what lies below DIRECTORY, but for hidden directories."""
    from krunc_compiler.files.tree import tree  # most commands are given files

    return tree(directory, lambda name: not name.startswith("."))


def all_below(directory: str) -> Tree:
    """List what lies below DIRECTORY, also in hidden directories but git's own."""
    from krunc_compiler.files.tree import tree

    return tree(directory, lambda name: name != ".git")


def is_box_name(path: str) -> bool:
    """Tell whether a box may be called PATH: .yaml or .yml, in any case."""
    return path.lower().endswith(_BOX_ENDINGS)


def plan_file(box: str, of_matrix: str | None = None) -> str:
    """Tell where the plan of the file BOX goes, or of its box OF_MATRIX."""
    return os.path.join(os.path.dirname(box), plan_name(box, of_matrix))


def plan_name(box: str, of_matrix: str | None = None) -> str:
    """Tell how the plan of the file BOX is called; one of a matrix is named after its box,
    OF_MATRIX."""
    stem = "stdin" if box == "-" else os.path.splitext(os.path.basename(box))[0]
    return (of_matrix or stem) + ENDING


def lock_file(box: str) -> str:
    """Tell where the lock of the file BOX lies: one for all boxes of its matrix."""
    return os.path.join(os.path.dirname(box), os.path.splitext(os.path.basename(box))[0]) + (
        LOCK_ENDING
    )
