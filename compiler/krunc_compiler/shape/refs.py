"""$ref in a JSON Schema of ours, which point into its $defs."""

from __future__ import annotations

from typing import Any


def resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return SCHEMA with what its $ref names; its own keys win."""
    while "$ref" in schema:
        target = defs[schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: rule for key, rule in schema.items() if key != "$ref"}}
    return schema
