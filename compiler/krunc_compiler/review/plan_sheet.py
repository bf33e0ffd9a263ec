"""The sheet of one plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.plan.ordered import kind_of
from krunc_compiler.review.fact import Fact
from krunc_compiler.review.sheet import Line, Section, Sheet, Tone
from krunc_compiler.review.summary import Review
from krunc_compiler.review.unusual import unusual_in
from krunc_compiler.review.words import bare, marked, shown, word, words

_REASONS = 8
Measure = Callable[[Fact], bool]


def plan_sheet(review: Review) -> Sheet:
    """Return what the VM is, its host access, its isolation, then every operation."""
    era = api.table()["eras"][review.value["api"]]["name"]
    is_unusual = unusual_in(review)
    more = any(map(is_unusual, review.exposure))
    return Sheet(
        bare(review.value["box"]),
        f"plan for {era}",
        (
            Line("digest", marked(review.digest)),
            Line("host access", _counts(review.exposure), tone="loud" if more else ""),
        ),
        (
            Section("VM", tuple(_machine(review, is_unusual))),
            Section(
                "Host access",
                tuple(_line(fact, is_unusual) for fact in review.exposure),
                empty="none",
            ),
            Section("Isolation", tuple(_held(fact, is_unusual) for fact in review.isolation)),
            Section(
                "Operations",
                tuple(
                    Line(
                        f"{number:>3} {kind_of(row)}",
                        marked(operation(row)),
                        bare(row["from"]),
                        anchor=f"operation-{number}",
                    )
                    for number, row in enumerate(review.operations, 1)
                ),
                long=True,
            ),
            Section("libkrun requirements", tuple(_needs(review.value["requires"]))),
        ),
    )


def _machine(review: Review, is_unusual: Measure) -> Iterator[Line]:
    """Yield what the VM is; with an image it is told as whom that runs."""
    for fact in review.machine:
        line = _line(fact, is_unusual)
        if fact.kind == "image":
            users = [row["args"]["user"] for row in review.operations if row.get("order") == "user"]
            user = word(users[0] if users else "root")
            line = line._replace(sentence=f"{line.sentence}, runs as {user}")
        yield line


def _needs(requires: dict[str, Any]) -> Iterator[Line]:
    yield Line("version", f"{word(requires['libkrun'])} or later")
    if requires["features"]:
        yield Line("built with", words(requires["features"]))
    because = requires["because"]
    for row in because[:_REASONS]:
        yield Line("required by", word(row["call"]), bare(row["from"]))
    if len(because) > _REASONS:
        yield Line("required by", f"{len(because) - _REASONS} more calls")


def _counts(exposure: tuple[Fact, ...]) -> str:
    counts = Counter(fact.kind for fact in exposure)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"


def _line(fact: Fact, is_unusual: Measure) -> Line:
    tone: Tone = "loud" if is_unusual(fact) else ""
    return Line(fact.kind, fact.sentence, bare(fact.origin), tone, source=source(fact.operation))


def source(operation: int | None, side: str = "") -> str:
    """Return the anchor of an OPERATION, counted from 0, of a SIDE."""
    return "" if operation is None else f"{side}operation-{operation + 1}"


def _held(fact: Fact, is_unusual: Measure) -> Line:
    origin = bare(fact.origin) if fact.origin else ""
    text = f"{fact.subject[0]}: {fact.sentence}"
    tone: Tone = "loud" if is_unusual(fact) else ""
    label = "isolated" if fact.held else "exposed"
    return Line(label, text, origin, tone, source=source(fact.operation))


def operation(row: dict[str, Any]) -> str:
    """Return one operation of a plan, whole."""
    kind = kind_of(row)
    args = ", ".join(f"{name}={shown(value)}" for name, value in row.get("args", {}).items())
    text = f"{bare(row[kind])}({args})" if kind == "call" else f"{bare(row[kind])} {args}".rstrip()
    return text + (", continues on failure" if row.get("on_failure") else "")
