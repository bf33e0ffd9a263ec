"""A JSON Schema as a policy: every plan must fit it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from krunc_compiler.findings.finding import Finding
from krunc_compiler.review.words import word
from krunc_compiler.shape.misfits import pattern

MESSAGE = "x-message"
_extend: Any = validators.extend
_Validator: Any = _extend(Draft202012Validator, {"pattern": pattern})


def wrong(schema: dict[str, Any]) -> list[Finding]:
    """What is wrong with the SCHEMA itself."""
    with _quiet():
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            path = tuple(error.absolute_path)
            return [Finding("KR503", f"this is no JSON Schema: {_said(error)}", path)]
    return []


def judge(schema: dict[str, Any], plan: dict[str, Any]) -> list[Finding]:
    """Where PLAN does not fit SCHEMA, in the words of the nearest x-message.

    Nothing is fetched: a $ref leads into the schema itself. Raises ValueError for a schema that
    cannot be followed.
    """
    # An empty registry: the default one would ask the network.
    validator = _Validator(schema, registry=Registry())
    found = []
    try:
        with _quiet():
            for error in validator.iter_errors(plan):
                message = _message(schema, list(error.absolute_schema_path))
                path = tuple(error.absolute_path)
                found.append(Finding("KR502", message or _said(error), path))
    except Unresolvable as error:
        raise ValueError(f"a $ref leads nowhere: {error}") from None
    except re.error as error:
        raise ValueError(f"a pattern is no regular expression: {error}") from None
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Python from warning of what a policy's patterns may mean to it one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _message(schema: Any, path: list[str | int]) -> str:
    """The x-message nearest to the rule at PATH."""
    found = str(schema.get(MESSAGE, ""))
    for part in path:
        schema = schema[part] if isinstance(schema, dict) or isinstance(part, int) else None
        if isinstance(schema, dict):
            found = str(schema.get(MESSAGE, found))
    return found


def _said(error: ValidationError | SchemaError) -> str:
    return word(error.message)
