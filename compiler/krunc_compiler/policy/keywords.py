"""The words of a JSON Schema that is a policy: one that is not known would hold nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Path

# What a schema of these uses, and this knows, means the same in all of them.
DRAFTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
)
# They need nothing that may not be installed.
FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
_EXTENSION = "x-"
_SCHEMA = (
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_NOTES = (
    "$anchor", "$comment", "$dynamicAnchor", "$id", "$schema", "contentEncoding",
    "contentMediaType", "default", "deprecated", "description", "examples", "readOnly", "title",
    "writeOnly",
)  # fmt: skip
# These hold something beside one of those only.
_BESIDE = {
    "then": ("if",),
    "else": ("if",),
    "if": ("then", "else"),
    "minContains": ("contains",),
    "maxContains": ("contains",),
}
_KNOWN = {*Draft202012Validator.VALIDATORS, *_SCHEMA, *_SCHEMAS, *_NAMED, *_NOTES, *_BESIDE}
_NOWHERE = object()
# Looking for the nearest takes time, and a hostile schema has keys to use up.
_MOST_GUESSES = 100
# Of older drafts.
_INSTEAD = {
    "additionalItems": "items, beside prefixItems",
    "dependencies": "dependentRequired or dependentSchemas",
    "$recursiveRef": "$ref or $dynamicRef",
    "$recursiveAnchor": "$dynamicAnchor",
    "id": "$id",
}


def unknown(schema: dict[str, Any]) -> list[Finding]:
    """Tell what in SCHEMA, which is one, would hold nothing."""
    parts = list(_parts(schema))
    guesses = iter(range(_MOST_GUESSES))
    findings = [finding for part, path in parts for finding in _in_part(part, path, guesses)]
    schemas = {id(part) for part, _ in parts}
    for part, path in parts:
        target = _target(schema, part.get("$ref"))
        if not (target is _NOWHERE or isinstance(target, bool) or id(target) in schemas):
            message = f"{wording.shown(part['$ref'])} leads to what is not a schema"
            hint = "put the schema under $defs"
            findings.append(Finding("KR503", message, (*path, "$ref"), hint))
    return findings


def _parts(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield each schema in SCHEMA that is a map."""
    return ((part, path) for part, path in within(schema) if isinstance(part, dict))


def within(schema: dict[str, Any]) -> Iterator[tuple[Any, Path]]:
    """Yield what is in SCHEMA in the place of a schema."""
    left: list[tuple[Any, Path]] = [(schema, ())]
    while left:
        part, path = left.pop()
        yield part, path
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            if key in _SCHEMA:
                left.append((value, (*path, key)))
            elif key in _SCHEMAS and isinstance(value, list):
                left += [(item, (*path, key, i)) for i, item in enumerate(value)]
            elif key in _NAMED and isinstance(value, dict):
                left += [(item, (*path, key, name)) for name, item in value.items()]


def _target(schema: Any, ref: Any) -> Any:
    """Return what REF leads to, when it is a way within SCHEMA. Where it leads nowhere, that is
    told when a plan is asked."""
    if not (isinstance(ref, str) and ref.startswith("#/")):
        return _NOWHERE
    for part in unquote(ref[2:]).split("/"):
        name: str | int = part.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and part.isascii() and part.isdigit() and len(part) < 6:
            name = int(part)
        try:
            schema = schema[name]
        except (KeyError, IndexError, TypeError):
            return _NOWHERE
    return schema


def _in_part(part: dict[str, Any], path: Path, guesses: Iterator[int]) -> Iterator[Finding]:
    """Tell what in PART would hold nothing; as many GUESSES as there are say what was meant."""
    for key, value in part.items():
        where = (*path, key)
        if key == "$schema" and str(value).rstrip("#") not in DRAFTS:
            hint = f"write {DRAFTS[0]}"
            yield Finding("KR503", f"{wording.shown(value)} is not known here", where, hint)
        elif key == "format" and value not in FORMATS:
            hint = f"write a pattern; known formats: {', '.join(FORMATS)}"
            message = f"the format {wording.shown(value)} is not known, and would hold nothing"
            yield Finding("KR503", message, where, hint)
        elif key in _BESIDE and not any(other in part for other in _BESIDE[key]):
            message = f"{key!r} holds nothing without {' or '.join(map(repr, _BESIDE[key]))}"
            yield Finding("KR503", message, where, "add it", at_key=True)
        elif key not in _KNOWN and not key.startswith(_EXTENSION):
            message = f"the keyword {wording.shown(key)} is not known, and would hold nothing"
            way_out = _way_out(key, next(guesses, None) is not None)
            yield Finding("KR503", message, where, way_out, at_key=True)


def _way_out(key: str, may_guess: bool) -> str:
    if key in _INSTEAD:
        return f"write {_INSTEAD[key]}"
    close = wording.nearest(key, sorted(_KNOWN)) if may_guess else ""
    return f"did you mean {close}?" if close else "remove it, or start a note of your own with x-"
