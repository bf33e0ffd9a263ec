"""What a compilation depends on beside the box."""

from typing import Any, NamedTuple

from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Source
from krunc_compiler.libkrun import Target


class Values(NamedTuple):
    """A map of variables that a file holds, and the file."""

    values: dict[str, Any]
    source: Source


class Inputs(NamedTuple):
    """The target, the variables given, the box of a matrix that is wanted, the way from the
    plan's folder to the box's, and where the files that a box names may be."""

    target: Target
    files: tuple[Values, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    box: str | None = None
    prefix: str = "."
    within: Within = ANYWHERE

    def seen_from(self, prefix: str) -> "Inputs":
        """These inputs for a plan from whose folder PREFIX leads to the box's."""
        return self._replace(prefix=prefix)
