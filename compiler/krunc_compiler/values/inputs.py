"""What a compilation depends on beside the box."""

from collections.abc import Callable
from typing import Any, NamedTuple

from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Source
from krunc_compiler.libkrun import Target


class Values(NamedTuple):
    """A map of variables that a file holds, and the file."""

    values: dict[str, Any]
    source: Source


def _none(box: str, is_matrix: bool) -> None:
    """Tell that no plan is there."""


class Inputs(NamedTuple):
    """The target that the command line names (None: it names none), the variables given, the box
    of a matrix that is wanted, the way from the plan's directory to the box's, where the files
    that a box names may be, and the target of the plan that a box with this name, of a matrix or
    not, has already: it stays where neither command line nor box name one."""

    target: Target | None
    files: tuple[Values, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    box: str | None = None
    prefix: str = "."
    within: Within = ANYWHERE
    kept: Callable[[str, bool], Target | None] = _none

    def seen_from(self, prefix: str) -> "Inputs":
        """These inputs for a plan from whose directory PREFIX leads to the box's."""
        return self._replace(prefix=prefix)
