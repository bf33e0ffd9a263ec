"""A JSON Schema as a policy: what would hold nothing is refused, at any depth, and what is known
holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from krunc_compiler.policy.asked import Unusable
from krunc_compiler.policy.keywords import DRAFTS, FORMATS
from krunc_compiler.policy.schemas import judge, wrong
from reviews import BOX, compiled

PLAN = json.loads(compiled(BOX))
DRAFT = {"$schema": DRAFTS[0]}

# Ways down into a schema: where another one can stand.
DEPTHS: dict[str, Any] = {
    "at the top": lambda inner: inner,
    "of a property": lambda inner: {"properties": {"box": inner}},
    "of a property called as a keyword": lambda inner: {"properties": {"properties": inner}},
    "of items": lambda inner: {"properties": {"operations": {"items": inner}}},
    "of one item": lambda inner: {"prefixItems": [True, inner]},
    "of a pattern": lambda inner: {"patternProperties": {"^a": inner}},
    "of other keys": lambda inner: {"additionalProperties": inner},
    "of the names": lambda inner: {"propertyNames": inner},
    "in all": lambda inner: {"allOf": [True, {"anyOf": [{"oneOf": [inner]}]}]},
    "in not": lambda inner: {"not": {"not": inner}},
    "if": lambda inner: {"if": inner, "then": True},
    "then": lambda inner: {"if": True, "then": inner},
    "else": lambda inner: {"if": True, "else": inner},
    "of what depends": lambda inner: {"dependentSchemas": {"box": inner}},
    "in what is contained": lambda inner: {"contains": inner},
    "defined": lambda inner: {"$defs": {"a": inner}, "$ref": "#/$defs/a"},
    "defined as before": lambda inner: {"definitions": {"a": inner}, "$ref": "#/definitions/a"},
    "of the rest": lambda inner: {"unevaluatedProperties": inner},
    "of the rest of items": lambda inner: {"unevaluatedItems": inner},
}
# What holds nothing, its key, and words of the message and the way out.
NOTHING: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "misspelt": ({"propertys": {}}, "propertys", '"propertys" is not known', "mean properties"),
    "another case": ({"Required": ["box"]}, "Required", "is not known", "did you mean required"),
    "krunc's own": ({"allow": {"networks": []}}, "allow", "would hold nothing", ""),
    "of OpenAPI": ({"nullable": True}, "nullable", "is not known", "start a note of your own with x-"),
    "dependencies": ({"dependencies": {"a": ["b"]}}, "dependencies", "not known", "dependentReq"),
    "more items": ({"additionalItems": False}, "additionalItems", "not known", "prefixItems"),
    "then alone": ({"then": {"required": ["labels"]}}, "then", "without 'if'", "add it"),
    "else alone": ({"else": {"required": ["labels"]}}, "else", "without 'if'", "add it"),
    "if alone": ({"if": {"required": ["labels"]}}, "if", "without 'then' or 'else'", "add it"),
    "a count alone": ({"minContains": 2}, "minContains", "without 'contains'", "add it"),
    "a format": ({"format": "hostname"}, "format", '"hostname" is not known', "a pattern"),
    "a misspelt format": ({"format": "IPv4"}, "format", '"IPv4" is not known', "known formats"),
    "an old draft": ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema",
                     "is not known here", "2020-12"),
    "no draft": ({"$schema": "https://a.example/policy"}, "$schema", "is not known here", "write"),
}  # fmt: skip


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", NOTHING)
def test_what_would_hold_nothing_is_refused(name: str, depth: str) -> None:
    asked, key, message, hint = NOTHING[name]
    (finding,) = wrong({**DRAFT, **DEPTHS[depth](asked)})
    assert finding.code == "KR503"
    assert finding.path[-1] == key
    assert message in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize("depth", DEPTHS)
def test_all_that_is_known_is_taken(depth: str) -> None:
    """Each keyword of the draft but for those that need another beside them."""
    text = json.dumps(Draft202012Validator.META_SCHEMA["allOf"])
    assert "meta/applicator" in text
    inner = {
        "title": "a", "description": "b", "$comment": "c", "default": 1, "examples": [{"a": 1}],
        "deprecated": True, "readOnly": True, "writeOnly": True, "contentEncoding": "base64",
        "contentMediaType": "text/plain", "contentSchema": {"type": "string"}, "x-message": "no",
        "x-owner": {"propertys": 1}, "enum": [{"propertys": 1}], "const": {"propertys": 1},
        "type": ["object", "string"], "minLength": 1, "required": ["a"], "maxItems": 3,
        "dependentRequired": {"a": ["b"]}, "contains": True, "minContains": 1, "format": "ipv4",
        "multipleOf": 2, "exclusiveMinimum": 1, "uniqueItems": True, "properties": {"if": True},
    }  # fmt: skip
    assert wrong({**DRAFT, **DEPTHS[depth](inner)}) == []


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("end", ["", "#"])
def test_drafts_that_mean_the_same(draft: str, end: str) -> None:
    schema = {"$schema": draft + end, "properties": {"labels": {"required": ["owner"]}}}
    assert wrong(schema) == []
    assert list(judge(schema, {"labels": {}}))
    assert not list(judge(schema, {"labels": {"owner": "a"}}))


@pytest.mark.parametrize(
    ("form", "well", "wrongly"),
    [
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "::g"),
        ("email", "a@b", "a"),
        ("date", "2026-01-31", "2026-02-31"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
    ],
)
def test_formats_hold(form: str, well: str, wrongly: str) -> None:
    assert form in FORMATS
    schema = {**DRAFT, "properties": {"labels": {"additionalProperties": {"format": form}}}}
    assert not list(judge(schema, {"labels": {"a": well}}))
    (finding,) = judge(schema, {"labels": {"a": wrongly}})
    assert finding.path == ("labels", "a")


@pytest.mark.parametrize(
    ("schema", "breaks"),
    [
        ({"if": {"required": ["labels"]}, "then": {"required": ["waivers"]}}, False),
        ({"if": {"required": ["labels"]}, "else": {"required": ["waivers"]}}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"required": ["labels"]}}}, True),
        ({"$ref": "#a", "$defs": {"b": {"$anchor": "a", "required": ["labels"]}}}, True),
        ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"required": ["labels"]}}}, True),
    ],
)
def test_references_and_conditions(schema: dict[str, Any], breaks: bool) -> None:
    assert wrong({**DRAFT, **schema}) == []
    assert bool(list(judge({**DRAFT, **schema}, PLAN))) == breaks


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/x-own/a", "x-own": {"a": {"required": ["labels"]}}},
        {"$ref": "#/properties", "properties": {"type": {"const": 1}}},
        {"$ref": "#/allOf", "allOf": [True]},
        {"$ref": "#/title", "title": "a"},
        {"$ref": "#/default", "default": None},
        {"properties": {"box": {"$ref": "#/enum/0"}}, "enum": [{"type": 7}]},
        {"$ref": "#/$defs/a/default", "$defs": {"a": {"default": {"type": 7}}}},
    ],
)
def test_a_reference_to_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    (finding,) = wrong({**DRAFT, **schema})
    assert "leads to what is not a schema" in finding.message


@pytest.mark.parametrize("ref", ["#/$defs/b", "#/title/b", "#b", "https://a.example/", "a.json#/a"])
def test_a_reference_to_nothing_is_refused(ref: str) -> None:
    schema = {**DRAFT, "title": "a", "$ref": ref, "$defs": {"a": True}}
    assert wrong(schema) == []
    with pytest.raises(Unusable):
        list(judge(schema, PLAN))
