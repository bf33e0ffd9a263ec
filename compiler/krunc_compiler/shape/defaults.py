"""A value with the defaults of its schema, by functions that are made once of the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from krunc_compiler.shape.fast_checking import Acceptor, acceptor

Fill = Callable[[Any], Any]


def filled(value: Any, schema: dict[str, Any]) -> Any:
    """Return VALUE, which fits SCHEMA, with SCHEMA's defaults. Nobody changes what is inside it:
    parts may be VALUE's own, or the schema's."""
    fill = _filler(schema)
    return fill(value) if fill is not None else value


_KEPT: dict[int, tuple[dict[str, Any], Fill | None]] = {}


def _filler(schema: dict[str, Any]) -> Fill | None:
    kept = _KEPT.get(id(schema))
    if kept is None:
        kept = _KEPT[id(schema)] = (schema, _part(schema, acceptor(schema)))
    return kept[1]


def _part(schema: dict[str, Any], whole: Acceptor) -> Fill | None:
    """Tell what fills a value of SCHEMA in; None where there is nothing to fill in."""
    schema = whole.resolved(schema)
    if "oneOf" not in schema:
        return _own(schema, whole)
    inners = [_part(branch, whole) for branch in schema["oneOf"]]
    if not any(inners):
        return None
    # Only now: to make the tests takes longer than all of this.
    tests = map(whole.part, schema["oneOf"])
    *others, (_, last) = zip(tests, inners, strict=True)

    def fill(value: Any) -> Any:
        inner = last  # of which a value that fits is when it is of no other
        for accept, found in others:
            if accept(value):
                inner = found
                break
        return inner(value) if inner is not None else value

    return fill


def _own(schema: dict[str, Any], whole: Acceptor) -> Fill | None:
    if "properties" not in schema and "items" not in schema:
        return None  # as most are
    items = _part(schema["items"], whole) if "items" in schema else None
    fills: list[tuple[str, Fill]] = []
    defaults: list[tuple[str, Any]] = []
    for key, rule in schema.get("properties", {}).items():
        inner = _part(rule, whole)
        if inner is not None:
            fills.append((key, inner))
        default = whole.resolved(rule).get("default")
        if default is not None:
            defaults.append((key, inner(default) if inner is not None else default))
    if items is None and not fills and not defaults:
        return None

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return value if items is None else [items(item) for item in value]
        if not isinstance(value, dict):
            return value
        result = dict(value)
        for key, inner in fills:
            if key in result:
                result[key] = inner(result[key])
        for key, default in defaults:
            if key not in result:
                result[key] = default
        return result

    return fill
