"""A finding: what is wrong, where, and the way out."""

from collections.abc import Mapping
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
    """Where a value stands, and its key when it has one.

    `source` is the text that holds it, when that is not the one that is reported about.
    """

    value: Span
    key: Span | None = None
    source: "Source | None" = None


class Finding(NamedTuple):
    """One thing that is wrong (or, as a warning, doubtful) with an input.

    `at_key` marks the key instead of the value; `span` is set when no value has the place;
    `waived` is what a box gave a reason for.
    """

    code: str
    message: str
    path: Path = ()
    hint: str = ""
    at_key: bool = False
    span: Span | None = None
    waived: bool = False

    @property
    def warning(self) -> bool:
        """Tell whether this refuses nothing: the catalogue says so of the code, or it is waived."""
        from krunc_compiler.findings import catalogue  # most inputs have no finding

        entry = catalogue.entry(self.code)
        return self.waived or (entry is not None and entry.warning)


class Source(NamedTuple):
    """A text that was read, and the places of its values.

    `directory` leads from the box that is compiled to this text's directory, "" when they share it.
    `extends` says whether the places of other texts are among its own. `faults` are mistakes in
    its YAML beyond which it could be read. `first` is the line that the text starts with, where
    more is not kept of it.
    """

    name: str
    text: str
    places: Mapping[Path, Place]
    directory: str = ""
    extends: bool = False
    faults: "tuple[Located, ...]" = ()
    first: int = 0


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
    """Return the exception for FINDINGS in SOURCE."""
    return Rejected([Located(source, finding) for finding in findings])


def dotted(path: Path) -> str:
    """Return PATH as a reader writes it: shares[0].read_only."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def placed(item: Located) -> tuple[Source, Span | None]:
    """Return the text that a finding is about, and the marked piece of it.

    That is the nearest written place at or above the finding's path.
    """
    source, finding = item
    for length in range(len(finding.path), -1, -1):
        place = source.places.get(finding.path[:length])
        if place is None:
            continue
        text = place.source or source
        if finding.span is not None:
            return text, finding.span
        whole = length == len(finding.path)
        if place.key is not None and (finding.at_key or not whole):
            return text, place.key
        return text, place.value
    return source, finding.span


def ordered(findings: list[Located]) -> list[Located]:
    """Return FINDINGS without repetitions: errors first, in the order of files and lines."""
    seen: dict[tuple[bool, str, int, int, str, str, str], Located] = {}
    for item in findings:
        source, span = placed(item)
        at = span or Span(0, 0, 0, 0)
        found = item.finding
        where = (found.warning, source.name, at.line, at.column)
        seen.setdefault((*where, found.message, found.code, dotted(found.path)), item)
    return [seen[key] for key in sorted(seen)]


def counts(findings: list[Located]) -> tuple[int, int]:
    """Tell how many of FINDINGS are errors, and how many are warnings."""
    errors = sum(not item.finding.warning for item in findings)
    return errors, len(findings) - errors
