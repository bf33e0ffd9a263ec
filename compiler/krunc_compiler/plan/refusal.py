"""The launcher's word on a plan. The compiler does not know the launcher: who runs it, does."""

from collections.abc import Callable
from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Located, Path, Source, Span


class Refusal(NamedTuple):
    """Why the launcher would not start a plan, at a line and column of it, from 1."""

    line: int
    column: int
    path: Path
    sentence: str


# What the launcher refuses of a plan with these bytes, on any host.
Verifier = Callable[[bytes], list[Refusal]]


def refused(verify: Verifier | None, name: str, data: bytes) -> list[Located]:
    """Return the findings of VERIFY about the plan DATA of the file NAME; none where nobody asks
    it."""
    refusals = verify(data) if verify is not None else []
    if not refusals:
        return []
    source = Source(name, data.decode("utf-8", "replace"), {})
    return [Located(source, _finding(one)) for one in refusals]


def _finding(refusal: Refusal) -> Finding:
    line, column = refusal.line - 1, refusal.column - 1
    span = Span(line, column, line, column + 1)
    return Finding("KR404", refusal.sentence, refusal.path, "compile the box again", span=span)
