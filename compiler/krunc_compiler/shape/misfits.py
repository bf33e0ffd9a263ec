"""What of a value does not fit a JSON Schema, as jsonschema finds it: the slow why.

Its partner for the quick yes is fast_checking; tests/shape/test_accepting.py holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from jsonschema import Draft202012Validator, ValidationError, validators

from krunc_compiler.findings.finding import Path
from krunc_compiler.shape.patterns import of_python
from krunc_compiler.shape.refs import resolved


class Misfit(NamedTuple):
    """A rule of a schema that a value broke; `context` has what each branch of a oneOf says,
    `may_go` whether the value may be left out, as far as its key tells, and `defs` what the
    schema's $refs name."""

    keyword: str
    rule: Any
    value: Any
    schema: dict[str, Any]
    path: Path
    is_name: bool
    branch: int
    may_go: bool
    defs: dict[str, Any]
    context: tuple[Misfit, ...]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator for SCHEMA, in which true is no number and 1.0 no whole number."""
    strict: Draft202012Validator = _Strict(schema)
    return strict


def misfits(value: Any, schema: dict[str, Any]) -> Iterator[Misfit]:
    """Yield every rule of SCHEMA that VALUE breaks."""
    errors: Iterator[ValidationError] = validator(schema).iter_errors(value)
    required: set[str] = set()
    for number, error in enumerate(errors):
        required = required if number else set(_required(schema))
        yield _misfit(error, schema.get("$defs", {}), required)


def _required(schema: Any) -> Iterator[str]:
    """Yield the keys that a map of SCHEMA, or of a schema in it, has to have."""
    if isinstance(schema, dict) and schema.get("type") == "object":
        yield from schema.get("required", ())
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from _required(inner)


def _misfit(error: ValidationError, defs: dict[str, Any], required: set[str]) -> Misfit:
    where, fields = list(error.relative_schema_path), cast(Any, error)
    path = tuple(error.relative_path)
    rule = fields.validator_value
    alternatives = error.validator in ("oneOf", "anyOf")
    return Misfit(
        keyword=str(error.validator),
        rule=[resolved(branch, defs) for branch in rule] if alternatives else rule,
        value=fields.instance,
        schema=fields.schema,
        path=path,
        is_name="propertyNames" in where,
        branch=int(where[0]) if where and isinstance(where[0], int) else 0,
        may_go=not path or path[-1] not in required,
        defs=defs,
        context=tuple(_misfit(inner, defs, required) for inner in error.context or ()),
    )


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def pattern(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    """Find whether VALUE lacks PATTERN, in the language of JSON Schema."""
    if isinstance(value, str) and not re.search(of_python(pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_extend: Any = validators.extend
_Strict: Any = _extend(
    Draft202012Validator,
    {"pattern": pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
