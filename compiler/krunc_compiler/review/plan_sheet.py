"""The sheet of one plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.review.fact import BY_NAME, Fact
from krunc_compiler.review.sheet import Line, Section, Sheet
from krunc_compiler.review.summary import Review, kind_of
from krunc_compiler.review.words import shown, word, words

_REASONS = 8


def plan_sheet(review: Review) -> Sheet:
    """Return what the VM is, its host access, its isolation, then every operation."""
    era = api.table()["eras"][review.value["api"]]["name"]
    return Sheet(
        word(review.value["box"]),
        f"plan for {era}",
        (
            Line("digest", review.digest),
            Line("host access", _counts(review.exposure), tone="loud"),
        ),
        (
            Section("VM", tuple(_machine(review))),
            Section("Host access", tuple(map(_line, review.exposure)), empty="none"),
            Section("Isolation", tuple(map(_held, review.isolation))),
            Section(
                "Operations",
                tuple(
                    Line(f"{number:>3} {kind_of(row)}", operation(row), word(row["from"]))
                    for number, row in enumerate(review.operations, 1)
                ),
                long=True,
            ),
            Section("libkrun requirements", tuple(_needs(review.value["requires"]))),
        ),
    )


def _machine(review: Review) -> Iterator[Line]:
    """Yield what the VM is; with an image it is told as whom that runs."""
    for fact in review.machine:
        line = _line(fact)
        if fact.kind == "image":
            users = [row["args"]["user"] for row in review.operations if row.get("order") == "user"]
            line = line._replace(text=f"{line.text}, runs as {word(users[0] if users else 'root')}")
        yield line


def _needs(requires: dict[str, Any]) -> Iterator[Line]:
    yield Line("version", f"{word(requires['libkrun'])} or later")
    if requires["features"]:
        yield Line("built with", words(requires["features"]))
    because = requires["because"]
    for row in because[:_REASONS]:
        yield Line("required by", word(row["call"]), word(row["from"]))
    if len(because) > _REASONS:
        yield Line("required by", f"{len(because) - _REASONS} more calls")


def _counts(exposure: tuple[Fact, ...]) -> str:
    counts = Counter(fact.kind for fact in exposure)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"


def _line(fact: Fact) -> Line:
    loud = BY_NAME[fact.kind].loud
    return Line(fact.kind, fact.text, word(fact.origin), "loud" if loud else "")


def _held(fact: Fact) -> Line:
    origin = word(fact.origin) if fact.origin else ""
    text = f"{fact.subject[0]}: {fact.text}"
    return Line("isolated" if fact.held else "exposed", text, origin, "" if fact.held else "loud")


def operation(row: dict[str, Any]) -> str:
    """Return one operation of a plan, whole."""
    kind = kind_of(row)
    args = ", ".join(f"{name}={shown(value)}" for name, value in row.get("args", {}).items())
    text = f"{word(row[kind])}({args})" if kind == "call" else f"{word(row[kind])} {args}".rstrip()
    return text + (", continues on failure" if row.get("on_failure") else "")
