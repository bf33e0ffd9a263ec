"""The launcher's word on a plan. The compiler does not know the launcher: who runs it, does."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Located, Path, Place, Source, Span
from krunc_compiler.plan.json_text import places


class Refusal(NamedTuple):
    """Why the launcher would not start a plan: the path of the value, or a line and column of the
    text, from 1."""

    place: tuple[int, int] | None
    path: Path
    sentence: str


class Unstarted(NamedTuple):
    """Why a plan cannot start on this host, the way out, and the key of the box: for a path that
    the plan names, or else for what its root directory has."""

    is_path: bool
    sentence: str
    way_out: str
    key: str


# Why a plan with these bytes, which is in a directory, cannot start on this host.
Starter = Callable[[bytes, str], list[Unstarted]]
# What the launcher refuses of a plan with these bytes, on any host.
Verifier = Callable[[bytes], list[Refusal]]


def refused(verify: Verifier | None, name: str, data: bytes) -> list[Located]:
    """Return the findings of VERIFY about the plan DATA of the file NAME; none where nobody asks
    it."""
    refusals = verify(data) if verify is not None else []
    if not refusals:
        return []
    text = data.decode("utf-8", "replace")
    source = Source(name, text, {})
    # All in one walk, for a large plan can be refused for each of its operations.
    found = places(text) if any(one.place is None for one in refusals) else {}
    return [Located(source, _finding(one, found)) for one in refusals]


def _finding(refusal: Refusal, found: Mapping[Path, Place]) -> Finding:
    line, column = (one - 1 for one in refusal.place or (1, 1))
    if refusal.place is None:
        path = refusal.path
        above = (path[:length] for length in range(len(path), -1, -1))
        nearest = next((found[one] for one in above if one in found), None)
        if nearest is not None:
            line, column = nearest.value.line, nearest.value.column
    span = Span(line, column, line, column + 1)
    return Finding("KR404", refusal.sentence, refusal.path, "compile the box again", span=span)
