"""A JSON Schema as a policy: every plan must fit it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from krunc_compiler.findings.finding import Finding
from krunc_compiler.policy.asked import (
    ENTRY,
    FINDING,
    KEYWORD,
    MOST_REFS,
    MOST_SCHEMAS,
    REFS,
    Asked,
    Unusable,
    bare_schema,
)
from krunc_compiler.policy.keywords import FORMATS, unknown, within
from krunc_compiler.policy.patterns import MOST_TOGETHER, Unmatchable, pattern, patterns_of
from krunc_compiler.review.words import bare

MESSAGE = "x-message"
_FORMATS = FormatChecker(FORMATS)
_NO_PATTERN = "ask the same with enum, const or not: {pattern: ...}"


_asked: ContextVar[Asked] = ContextVar("asked")


def wrong(schema: dict[str, Any]) -> list[Finding]:
    """Tell what is wrong with the SCHEMA itself."""
    # First: what it takes to check a schema grows with it, and jsonschema gives each pattern to
    # Python.
    findings = _too_many(schema) or _unmatchable(schema)
    if findings:
        return findings
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of patterns that may mean something else one day
            Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        path = tuple(error.absolute_path)
        return [Finding("KR503", f"this is not a JSON Schema: {_said(error)}", path)]
    except RecursionError:
        return [Finding("KR503", "a pattern has too many groups within groups")]
    return unknown(schema)


def _too_many(schema: dict[str, Any]) -> list[Finding]:
    if next(islice(within(schema), MOST_SCHEMAS, None), None) is None:
        return []
    message = f"there are more than {MOST_SCHEMAS:,} schemas within this one"
    return [Finding("KR503", message, hint="ask less, or write several policies")]


def _unmatchable(schema: dict[str, Any]) -> list[Finding]:
    """Return the patterns of SCHEMA that are not matched here."""
    findings, size = [], 0
    for path, text in patterns_of(schema):
        try:
            size += pattern(text).size
            if size > MOST_TOGETHER:
                raise Unmatchable(f"the patterns have more than {MOST_TOGETHER:,} states together")
        except Unmatchable as error:
            findings.append(Finding("KR503", str(error), path, _NO_PATTERN, at_key=True))
        if size > MOST_TOGETHER:
            break
    return findings


def judge(schema: dict[str, Any], plan: dict[str, Any]) -> Iterator[Finding]:
    """Tell where PLAN does not fit SCHEMA, in the words of the nearest x-message.

    Nothing is fetched: a $ref leads into the schema itself. Raises Unusable for a schema that
    cannot be followed, or not in the time that a policy has.
    """
    token = _asked.set(Asked(schema))
    try:
        # An empty registry: the default one would ask the network.
        validator = _Validator(schema, registry=Registry(), format_checker=_FORMATS)
        for error in validator.iter_errors(plan):
            _asked.get().spend(error.schema, str(error.validator), FINDING)
            path = tuple(error.absolute_path)
            yield Finding("KR502", _message(schema, error) or _said(error), path)
    except Unresolvable as error:
        raise Unusable(f"a $ref has no target: {error}") from None
    except RecursionError:
        raise Unusable("the schema leads back into itself too often") from None
    except Unmatchable as error:
        raise Unusable(str(error), way_out=_NO_PATTERN) from None
    except (ArithmeticError, ValueError) as error:
        raise error if isinstance(error, Unusable) else Unusable(str(error)) from None
    finally:
        _asked.reset(token)


def _message(schema: Any, error: ValidationError) -> str:
    """Return the x-message nearest to the rule that ERROR is about."""
    found = str(schema.get(MESSAGE, ""))
    for part in error.absolute_schema_path:
        inside = isinstance(schema, list) and isinstance(part, int) and part < len(schema)
        schema = schema.get(part) if isinstance(schema, dict) else schema[part] if inside else None
        if isinstance(schema, dict):
            found = str(schema.get(MESSAGE, found))
    own = error.schema  # behind a $ref it is in another place
    return str(own.get(MESSAGE, found)) if isinstance(own, dict) else found


def _said(error: ValidationError | SchemaError) -> str:
    return bare(error.message)


def _found(at: Any, keyword: str, written: str, text: str) -> bool:
    return pattern(written).search(text, partial(_asked.get().spend, at, keyword))


def _pattern(validator: Any, written: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not _found(schema, "pattern", written, value):
        yield ValidationError(f"{value!r} does not match {written!r}")


def _pattern_properties(
    validator: Any, rules: dict[str, Any], value: Any, schema: Any
) -> Iterator[ValidationError]:
    for written, rule in rules.items() if validator.is_type(value, "object") else ():
        for key, item in value.items():
            if _found(schema, "patternProperties", written, key):
                yield from validator.descend(item, rule, path=key, schema_path=written)


def _additional_properties(
    validator: Any, rule: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    named, forms = schema.get("properties", {}), schema.get("patternProperties", ())
    for key, item in value.items():
        if key in named or any(_found(schema, "patternProperties", one, key) for one in forms):
            continue
        if rule is False:
            yield ValidationError(f"{key!r} is not allowed here")
        else:
            yield from validator.descend(item, rule, path=key)


def _unevaluated(
    original: Callable[..., Any], validator: Any, rule: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    """Ask ORIGINAL, which would match patterns by Python's matcher."""
    if any(True for _ in _with_key(_asked.get().schema, "patternProperties")):
        path = _asked.get().path(schema, "unevaluatedProperties")
        raise Unusable("not matched beside patternProperties", path, "use additionalProperties")
    yield from original(validator, rule, value, schema) or ()


def _with_key(schema: Any, key: str) -> Iterator[Any]:
    if isinstance(schema, dict):
        if key in schema:
            yield schema
        schema = list(schema.values())
    for item in schema if isinstance(schema, list) else ():
        yield from _with_key(item, key)


def _unique(validator: Any, rule: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not rule or not validator.is_type(value, "array"):
        return
    if len({_canonical(item) for item in value}) < len(value):
        yield ValidationError("an item is here twice")


def _canonical(value: Any) -> Any:
    """Return VALUE as what can be in a set: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, dict):
        return ("map", frozenset((key, _canonical(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(_canonical, value)))
    return (isinstance(value, bool), value)


def _bounded(keyword: str, function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Yield FUNCTION, which judges KEYWORD, within the steps and references that a question has."""
    is_ref = keyword in REFS

    def judged(validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        asked = _asked.get()
        asked.spend(schema, keyword, KEYWORD + asked.cost(keyword, rule, value))
        asked.refs += is_ref
        try:
            if asked.refs > MOST_REFS:
                message = f"a {keyword} leads through more than {MOST_REFS} others, or to itself"
                raise Unusable(message, asked.path(schema, keyword), "end it somewhere")
            for error in function(validator, rule, value, schema) or ():
                # Its words have the value and the rule, unless they are of a schema within.
                is_own = not isinstance(error.validator, str)
                told = asked.size(value) + asked.size(rule) if is_own else 0
                asked.spend(schema, keyword, KEYWORD + told)
                yield error
        finally:
            asked.refs -= is_ref

    return judged


_OWN: dict[str, Callable[..., Any]] = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique,
    "unevaluatedProperties": partial(
        _unevaluated, Draft202012Validator.VALIDATORS["unevaluatedProperties"]
    ),
}
_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {name: _bounded(name, function) for name, function in _OWN.items()}
)
_evolve = _Validator.evolve


def _evolved(validator: Any, **changes: Any) -> Any:
    """Return VALIDATOR for another part of the schema, which is counted. Where that has a
    `$schema`, jsonschema would take its own validator of that draft, which is not bounded."""
    schema = changes.get("schema", validator.schema)
    if isinstance(schema, dict):
        _asked.get().spend(schema, "", KEYWORD + ENTRY * len(schema))
        if "$schema" in schema:
            changes["schema"] = bare_schema(schema)
    return _evolve(validator, **changes)


_Validator.evolve = _evolved
