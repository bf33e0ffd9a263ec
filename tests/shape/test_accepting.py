"""The quick answer whether a value fits a schema is jsonschema's answer."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.schema import plan_schema
from krunc_compiler.shape.defaults import filled
from krunc_compiler.shape.fast_checking import Acceptor, acceptor
from krunc_compiler.shape.misfits import validator
from krunc_compiler.text.parsing import parse
from krunc_schema import load
from places import BAD, ROOT

CONTRACTS = {
    f"{name}.schema": load(f"{name}.schema")
    for name in ("box", "boxlite", "compose", "oci", "plan", "policy")
} | {"plan, whole": plan_schema()}


def _texts() -> list[Path]:
    directories = (BAD, ROOT / "boxes", ROOT / "examples")
    found = [path for directory in directories for path in sorted(directory.rglob("*.y*ml"))]
    assert len(found) > 150
    return found


def _values() -> list[Any]:
    values = []
    for path in _texts():
        try:
            values.append(parse(path.name, path.read_text("utf-8", "replace"))[0])
        except Rejected:
            continue
    assert len(values) > 120
    return values


VALUES = _values()
PLANS = [json.loads(path.read_text("utf-8")) for path in (ROOT / "boxes").glob("*.plan.json")]


@pytest.mark.parametrize("schema", CONTRACTS.values(), ids=CONTRACTS)
def test_every_box_and_plan(schema: dict[str, Any]) -> None:
    quick, slow = acceptor(schema), validator(schema)
    answers = {quick.accepts(value) for value in (*VALUES, *PLANS)}
    assert answers != {True}
    for value in (*VALUES, *PLANS):
        assert quick.accepts(value) == slow.is_valid(value), value


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.sampled_from(
        [1.0, 0.5, 1e300, "", "a", "1", "1:2", "1\n", "all", "/x", "1GiB", "é", "a" * 300]
    )
)
ODD = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner)
)


@st.composite
def mutated(draw: st.DrawFn, values: list[Any]) -> Any:
    """One of VALUES in which one place has another value, or is gone, or another place's value."""
    value = deepcopy(draw(st.sampled_from(values)))
    places: list[tuple[Any, Any]] = []

    def walk(inside: Any) -> None:
        if isinstance(inside, dict | list):
            for key in list(inside) if isinstance(inside, dict) else range(len(inside)):
                places.append((inside, key))
                walk(inside[key])

    walk(value)
    for _ in range(draw(st.integers(1, 2))):
        if not places:
            break
        inside, key = draw(st.sampled_from(places))
        other, its = draw(st.sampled_from(places))
        if isinstance(key, int) and key >= len(inside):
            continue
        match draw(st.integers(0, 3)):
            case 0:
                inside.pop(key, None) if isinstance(inside, dict) else inside.pop(key)
            case 1:
                try:
                    inside[key] = deepcopy(other[its])
                except (KeyError, IndexError):
                    continue
            case _:
                inside[key] = draw(ODD)
    return value


@settings(max_examples=400, deadline=None)
@given(mutated(VALUES))
def test_mutated_boxes(value: Any) -> None:
    schema = CONTRACTS["box.schema"]
    assert acceptor(schema).accepts(value) == validator(schema).is_valid(value)


# With few operations each: a plan's schema judges each by itself, and jsonschema takes long for one.
PARTS = [
    {**plan, "operations": plan["operations"][start : start + 3]}
    for plan in PLANS
    for start in range(0, len(plan["operations"]), 3)
]


@settings(max_examples=400, deadline=None)
@given(mutated(PARTS))
def test_mutated_plans(value: Any) -> None:
    schema = CONTRACTS["plan, whole"]
    assert acceptor(schema).accepts(value) == validator(schema).is_valid(value)


@settings(max_examples=300, deadline=None)
@given(ODD, ODD)
def test_each_keyword(value: Any, other: Any) -> None:
    for schema in KEYWORDS:
        quick, slow = Acceptor(schema), validator(schema)
        for candidate in (value, [value], [other, value], {"a": value}, {"b": value, "a": other}):
            assert quick.accepts(candidate) == slow.is_valid(candidate), (schema, candidate)


KEYWORDS: list[dict[str, Any]] = [
    *({"type": name} for name in ("array", "boolean", "integer", "null", "number", "object")),
    {"type": ["string", "integer"]},
    {"enum": ["a", 1, True, None]},
    {"const": 1},
    {"const": False},
    {"minimum": 1},
    {"maximum": 1.5},
    {"minLength": 1, "maxLength": 2},
    {"minItems": 2},
    {"maxItems": 1},
    {"minProperties": 2},
    {"maxProperties": 1},
    {"pattern": "^[0-9]+$"},
    {"required": ["a"]},
    {"properties": {"a": {"type": "string"}}},
    {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
    {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    {"additionalProperties": {"type": "integer"}},
    {"properties": {"b": {}}, "patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
    {"properties": {"b": {}}, "patternProperties": {"^a": {"type": "integer"}}},
    {"propertyNames": {"maxLength": 1}},
    {"items": {"type": "integer"}},
    {"not": {"type": "object"}},
    {"anyOf": [{"type": "array"}, {"required": ["b"]}]},
    {"oneOf": [{"type": ["object", "array"]}, {"required": ["b"]}]},
    {"$defs": {"x": {"items": {"$ref": "#/$defs/x"}, "type": ["array", "string"]}}, "$ref": "#/$defs/x"},
    {"$defs": {"x": {"type": "array"}}, "$ref": "#/$defs/x", "maxItems": 1},
]  # fmt: skip


def test_an_unknown_keyword_is_no_yes() -> None:
    with pytest.raises(KeyError):
        Acceptor({"multipleOf": 2}).accepts(3)


@pytest.mark.parametrize(
    "value", [v for v in VALUES if acceptor(CONTRACTS["box.schema"]).accepts(v)]
)
def test_a_filled_box_fits_and_stays(value: Any) -> None:
    schema = CONTRACTS["box.schema"]
    complete = filled(value, schema)
    assert validator(schema).is_valid(complete)
    assert filled(complete, schema) == complete
