"""A value against a JSON Schema: findings in the words of the one who wrote the value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, ValidationError, validators

from krunc_compiler.findings import Finding, Path

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a map of keys",
    "string": "a text",
}
_SHOWN = 60


class _Broken(NamedTuple):
    """A rule of a schema that a value broke; `context` has what each branch of a oneOf says."""

    keyword: str
    rule: Any
    value: Any
    schema: dict[str, Any]
    path: Path
    is_name: bool
    branch: int
    context: tuple[_Broken, ...]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator for SCHEMA, in which true is no number and 1.0 no whole number."""
    strict: Draft202012Validator = _Strict(schema)
    return strict


def _broken(error: ValidationError) -> _Broken:
    where = list(error.relative_schema_path)
    fields: Any = error
    return _Broken(
        keyword=str(error.validator),
        rule=fields.validator_value,
        value=fields.instance,
        schema=fields.schema,
        path=tuple(error.relative_path),
        is_name="propertyNames" in where,
        branch=int(where[0]) if where and isinstance(where[0], int) else 0,
        context=tuple(map(_broken, error.context or ())),
    )


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_extend: Any = validators.extend
_Strict: Any = _extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def check(value: Any, schema: dict[str, Any]) -> list[Finding]:
    """Everything about VALUE that does not fit SCHEMA."""
    findings: list[Finding] = []
    errors: Iterator[ValidationError] = validator(schema).iter_errors(value)
    for error in errors:
        findings += _findings(_broken(error), ())
    return list(dict.fromkeys(findings))


def _findings(error: _Broken, above: Path) -> Iterator[Finding]:
    path = (*above, *error.path)
    rule = error.rule
    match error.keyword:
        case "oneOf" | "anyOf":
            yield from _branch(error, path)
        case "additionalProperties":
            yield from _unknown(error, path)
        case "required":
            yield from _missing(error, path)
        case "propertyNames":
            yield from ()
        case "type":
            yield _mistyped(error, path)
        case "enum":
            yield _not_allowed(error, path, rule)
        case "const":
            yield _not_allowed(error, path, [rule])
        case "not":
            yield Finding("KR105", f"{_shown(error.value)} may not stand here", path)
        case "minimum" | "maximum":
            yield _out_of_range(error, path)
        case "pattern":
            form = error.schema.get("x-form", f"a text that fits {rule}")
            yield _formed(error, path, form)
        case "minLength" | "minProperties" | "minItems":
            yield Finding("KR104", "this is empty", path, hint=_about(error.schema))
        case _:
            size = f"at most {rule} " + ("items" if "Items" in error.keyword else "characters")
            yield Finding("KR104", f"{_shown(error.value)} is too long", path, hint=size)


def _formed(error: _Broken, path: Path, form: str) -> Finding:
    where = (*path, error.value) if error.is_name else path
    return Finding(
        "KR106",
        f"{_shown(error.value)} has a wrong form",
        where,
        hint=f"write {form}",
        at_key=error.is_name,
    )


def _branch(error: _Broken, path: Path) -> Iterator[Finding]:
    """The findings of the branch that was meant."""
    branches: dict[int, list[_Broken]] = {}
    for inner in error.context:
        branches.setdefault(inner.branch, []).append(inner)
    rules = error.rule
    fitting = [
        index
        for index, errors in branches.items()
        if not any(inner.keyword in ("type", "const") and not inner.path for inner in errors)
    ]
    if not fitting:
        kinds = " or ".join(dict.fromkeys(_kind(rule) for rule in rules))
        yield Finding(
            "KR103",
            f"{_shown(error.value)} is {_type_of(error.value)}, not {kinds}",
            path,
            hint=_about(error.schema) or _forms(rules) or _quotes(error.value, rules),
        )
        return
    modes = [rule.get("properties", {}).get("mode", {}).get("const") for rule in rules]
    if all(modes):
        mode = error.value.get("mode")
        if mode not in modes:
            yield _without_mode(error, path, modes)
            return
        fitting = [modes.index(mode)]
    ways = [rule.get("required", [""])[0] for rule in rules]
    if not error.value and all(ways):
        keys = " or ".join(map(repr, ways))
        yield Finding("KR102", f"the key {keys} is missing", path, hint=_about(error.schema))
        return
    meant = min(fitting, key=lambda index: _distance(branches[index]))
    for inner in branches[meant]:
        yield from _findings(inner, path)


def _without_mode(error: _Broken, path: Path, modes: list[str]) -> Finding:
    if "mode" not in error.value:
        hint = f"allowed: {', '.join(modes)}"
        return Finding("KR102", "the key 'mode' is missing", path, hint, at_key=True)
    mode = error.value["mode"]
    message = f"{_shown(mode)} is not allowed here"
    return Finding("KR105", message, (*path, "mode"), hint=_allowed(mode, modes))


def _distance(errors: list[_Broken]) -> int:
    return sum(10 if error.keyword == "required" else 1 for error in errors)


def _kind(rule: dict[str, Any]) -> str:
    if "const" in rule:
        return str(rule["const"])
    kinds = rule.get("type", "object")
    return " or ".join(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _forms(rules: list[dict[str, Any]]) -> str:
    forms = [rule["x-form"] for rule in rules if "x-form" in rule]
    return f"write {forms[0]}" if forms else ""


def _quotes(value: Any, rules: list[dict[str, Any]]) -> str:
    scalar = isinstance(value, bool | int | float)
    wants_text = any(rule.get("type") == "string" for rule in rules)
    return "put it in quotes" if scalar and wants_text else ""


def _unknown(error: _Broken, path: Path) -> Iterator[Finding]:
    known = list(error.schema.get("properties", {}))
    for key in error.value:
        if key in known:
            continue
        close = get_close_matches(key, known, 1, 0.6) or get_close_matches(
            key.lower().replace("-", "_"), known, 1, 0.6
        )
        free = [name for name in known if name not in error.value]
        hint = f"did you mean {close[0]}?" if close else "known keys: " + ", ".join(free or known)
        yield Finding("KR101", f"the key {key!r} is not known", (*path, key), hint, at_key=True)


def _missing(error: _Broken, path: Path) -> Iterator[Finding]:
    properties = error.schema.get("properties", {})
    for key in error.rule:
        if key not in error.value:
            yield Finding(
                "KR102",
                f"the key {key!r} is missing",
                path,
                hint=_about(properties.get(key, {})),
                at_key=True,
            )


def _mistyped(error: _Broken, path: Path) -> Finding:
    rule = error.rule
    kinds = " or ".join(_TYPES[name] for name in ([rule] if isinstance(rule, str) else rule))
    form = error.schema.get("x-form")
    if form:
        hint = f"write {form}"
    elif rule == "string" and not isinstance(error.value, dict | list):
        hint = "put it in quotes"
    elif rule == "boolean":
        hint = "write true or false"
    elif "minimum" in error.schema or "maximum" in error.schema:
        hint = f"allowed: {_bounds(error.schema)}"
    else:
        hint = _about(error.schema)
    return Finding("KR103", _is(error.value, kinds), path, hint=hint)


def _is(value: Any, wanted: str) -> str:
    return f"{_shown(value)} is {_type_of(value)}, not {wanted}"


def _type_of(value: Any) -> str:
    for name in ("boolean", "integer", "number", "string", "array", "object", "null"):
        if _Strict({}).is_type(value, name):
            return _TYPES[name]
    return "something else"


def _not_allowed(error: _Broken, path: Path, allowed: list[Any]) -> Finding:
    return Finding(
        "KR105",
        f"{_shown(error.value)} is not allowed here",
        path,
        hint=_allowed(error.value, allowed),
    )


def _allowed(found: Any, allowed: list[Any]) -> str:
    words = [str(item) for item in allowed]
    close = get_close_matches(str(found), words, 1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}allowed: {', '.join(words)}"


def _out_of_range(error: _Broken, path: Path) -> Finding:
    side = "less than the least" if error.keyword == "minimum" else "more than the most"
    return Finding(
        "KR104",
        f"{_shown(error.value)} is {side}, {error.rule}",
        path,
        hint=f"allowed: {_bounds(error.schema)}",
    )


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        bounds = f"{low} to {high}"
    else:
        bounds = f"{low} or more" if high is None else f"{high} or less"
    return f"{bounds} {schema.get('x-unit', '')}".rstrip()


def _about(schema: dict[str, Any]) -> str:
    """The first sentence of a description."""
    text = str(schema.get("description", ""))
    return text.split(". ")[0].rstrip(".")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
