"""A finding: what is wrong, where, and the way out."""

from __future__ import annotations

from typing import NamedTuple

# Where a value stands in a box or a plan: keys and indexes from the top.
Path = tuple[str | int, ...]


class Span(NamedTuple):
    """A piece of one source text; lines and columns count from 0, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Place(NamedTuple):
    """Where a value stands, and its key when it has one."""

    value: Span
    key: Span | None = None


class Finding(NamedTuple):
    """One thing that is wrong (or, as a warning, doubtful) with an input.

    `at_key` marks the key instead of the value; `span` is set when no value has the place.
    """

    code: str
    message: str
    path: Path = ()
    hint: str = ""
    at_key: bool = False
    span: Span | None = None
    warning: bool = False


class Source(NamedTuple):
    """A text that was read, and the places of its values."""

    name: str
    text: str
    places: dict[Path, Place]


class Located(NamedTuple):
    """A finding together with the text that it is about."""

    source: Source
    finding: Finding


class Rejected(Exception):
    """An input is wrong; nothing was made of it."""

    def __init__(self, findings: list[Located]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings


class UsageError(Exception):
    """The command line asks for something that cannot be."""


def reject(source: Source, findings: list[Finding]) -> Rejected:
    """The exception for FINDINGS in SOURCE."""
    return Rejected([Located(source, finding) for finding in findings])


def dotted(path: Path) -> str:
    """PATH as a reader writes it: shares[0].read_only."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def span_of(source: Source, finding: Finding) -> Span | None:
    """The marked piece of the source: the nearest written place at or above the path."""
    if finding.span is not None:
        return finding.span
    for length in range(len(finding.path), -1, -1):
        place = source.places.get(finding.path[:length])
        if place is None:
            continue
        whole = length == len(finding.path)
        if place.key is not None and (finding.at_key or not whole):
            return place.key
        return place.value
    return None
