"""Every path of the host that a base says starts at the base's directory, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from krunc_compiler.files.hostpath import seen_from
from krunc_compiler.findings.finding import Place, Source, Span
from krunc_compiler.shape.refs import resolved
from krunc_compiler.values.rebasing import rebased
from krunc_schema import load

SCHEMA = load("box.schema")
PATHS = ("host_path", "socket_path")
HERE = Span(0, 0, 0, 0)


def values(rule: dict[str, Any], needed: bool = False) -> Iterator[tuple[str, Any]]:
    """Each way to write a host path below RULE: where, and the least value around it."""
    if rule.get("$ref", "").rsplit("/", 1)[-1] in PATHS:
        yield "", "./here"
        return
    rule = resolved(rule, SCHEMA["$defs"])
    for form in (*rule.get("oneOf", ()), *rule.get("anyOf", ())):
        yield from values(form)
    if isinstance(rule.get("items"), dict):
        for where, value in values(rule["items"]):
            yield f"[]{where}", [value]
    others = rule.get("additionalProperties")
    if isinstance(others, dict):
        for where, value in values(others):
            yield f".NAME{where}", {"NAME": value}
    for key, inner in rule.get("properties", {}).items():
        for where, value in values(inner):
            yield f".{key}{where}", {**required(rule), key: value}


def required(rule: dict[str, Any]) -> dict[str, Any]:
    """The keys that tell a form from others."""
    found = {}
    for key in rule.get("required", ()):
        of_key = resolved(rule["properties"][key], SCHEMA["$defs"])
        found[key] = of_key.get("const", (of_key.get("enum") or ["x"])[0])
    return found


WAYS = list(values({key: rule for key, rule in SCHEMA.items() if key != "required"}))


def places(value: Any, base: Source, path: tuple[str | int, ...] = ()) -> dict[Any, Place]:
    found = {path: Place(HERE, None, base)}
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found |= places(item, base, (*path, key))
    return found


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def test_the_walk_finds_many() -> None:
    found = {where for where, _ in WAYS}
    assert len(found) > 25
    for where in (
        ".rootfs.path",
        ".shares[].path",
        ".entrypoint.env.NAME.from_file",
        ".rootfs.overlay[].file",
        ".log.target.file",
    ):
        assert where in found
    # No path is missed because it is written otherwise: each such definition is referred to.
    text = str(SCHEMA)
    assert text.count("#/$defs/host_path") + text.count("#/$defs/socket_path") <= len(WAYS) + 5


@pytest.mark.parametrize(("where", "value"), WAYS, ids=[where for where, _ in WAYS])
def test_it_starts_at_the_base(where: str, value: Any) -> None:
    base = Source("../base/base.yaml", "", {}, "../base")
    source = Source("box.yaml", "", places(value, base), extends=True)
    moved = rebased(value, source, SCHEMA)
    assert seen_from("../base", "./here") == "../base/here"
    assert "../base/here" in leaves(moved)
    assert "./here" not in leaves(moved)
    own = Source("box.yaml", "", places(value, source), extends=True)
    assert rebased(value, own, SCHEMA) == value
