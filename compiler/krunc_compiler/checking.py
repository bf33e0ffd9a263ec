"""A value against a JSON Schema: findings in the words of the one who wrote the value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from krunc_compiler import wording
from krunc_compiler.accepting import acceptor, is_type
from krunc_compiler.findings import Finding, Path

if TYPE_CHECKING:
    from krunc_compiler.misfits import Misfit

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a map of keys",
    "string": "a text",
}


def check(value: Any, schema: dict[str, Any]) -> list[Finding]:
    """Everything about VALUE that does not fit SCHEMA."""
    if acceptor(schema).accepts(value):
        return []
    from krunc_compiler.misfits import misfits

    found = (finding for misfit in misfits(value, schema) for finding in _findings(misfit, ()))
    return list(dict.fromkeys(found))


def _findings(error: Misfit, above: Path) -> Iterator[Finding]:
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
            yield Finding("KR105", f"{wording.shown(error.value)} may not stand here", path)
        case "minimum" | "maximum":
            yield _out_of_range(error, path)
        case "pattern":
            form = error.schema.get("x-form", f"a text that fits {rule}")
            yield _formed(error, path, form)
        case "minLength" | "minProperties" | "minItems":
            yield Finding("KR104", "this is empty", path, hint=wording.about(error.schema))
        case _:
            size = f"at most {rule} " + ("items" if "Items" in error.keyword else "characters")
            yield Finding("KR104", f"{wording.shown(error.value)} is too long", path, hint=size)


def _formed(error: Misfit, path: Path, form: str) -> Finding:
    where = (*path, error.value) if error.is_name else path
    return Finding(
        "KR106",
        f"{wording.shown(error.value)} has a wrong form",
        where,
        hint=f"write {form}",
        at_key=error.is_name,
    )


def _branch(error: Misfit, path: Path) -> Iterator[Finding]:
    """The findings of the branch that was meant."""
    branches: dict[int, list[Misfit]] = {}
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
            f"{wording.shown(error.value)} is {_type_of(error.value)}, not {kinds}",
            path,
            hint=wording.about(error.schema)
            or wording.forms_of(rules)
            or wording.quotes(error.value, rules),
        )
        return
    key = _discriminator(rules)
    if key:
        known = [_const(rule, key) for rule in rules if _const(rule, key)]
        if error.value.get(key) not in known:
            yield _of_no_kind(error, path, key, known)
            return
        fitting = [i for i in fitting if _const(rules[i], key) == error.value[key]]
    ways = [rule.get("required", [""])[0] for rule in rules]
    if not error.value and all(ways):
        keys = " or ".join(map(repr, ways))
        yield Finding("KR102", f"the key {keys} is missing", path, hint=wording.about(error.schema))
        return
    meant = min(fitting, key=lambda index: _distance(branches[index]))
    for inner in branches[meant]:
        if inner.keyword == "additionalProperties" and not inner.path:
            yield from _of_another_form(inner, rules, path)
        else:
            yield from _findings(inner, path)


def _of_another_form(error: Misfit, rules: list[dict[str, Any]], path: Path) -> Iterator[Finding]:
    """The unknown keys of a form; those of a sibling form do not go with this one's."""
    own = next(iter(error.schema.get("required", ())), "")
    for finding in _unknown(error, path):
        key = finding.path[-1]
        if own and own in error.value and any(key in rule.get("properties", {}) for rule in rules):
            message = f"the key {key!r} does not go with {own!r}"
            yield finding._replace(code="KR107", message=message, hint="leave one of them out")
        else:
            yield finding


def _discriminator(rules: list[dict[str, Any]]) -> str:
    """The key whose constant tells the branches that are maps apart; empty when there is none."""
    maps = [rule for rule in rules if rule.get("type") == "object"]
    if len(maps) < 2:
        return ""
    return next((key for key in maps[0]["properties"] if all(_const(m, key) for m in maps)), "")


def _const(rule: dict[str, Any], key: str) -> Any:
    return rule.get("properties", {}).get(key, {}).get("const")


def _of_no_kind(error: Misfit, path: Path, key: str, kinds: list[str]) -> Finding:
    if key not in error.value:
        hint = f"allowed: {', '.join(kinds)}"
        return Finding("KR102", f"the key {key!r} is missing", path, hint, at_key=True)
    kind = error.value[key]
    message = f"{wording.shown(kind)} is not allowed here"
    return Finding("KR105", message, (*path, key), hint=wording.allowed(kind, kinds))


def _distance(errors: list[Misfit]) -> int:
    return sum(10 if error.keyword == "required" else 1 for error in errors)


def _kind(rule: dict[str, Any]) -> str:
    if "const" in rule:
        return str(rule["const"])
    kinds = rule.get("type", "object")
    return " or ".join(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _unknown(error: Misfit, path: Path) -> Iterator[Finding]:
    known = list(error.schema.get("properties", {}))
    for key in error.value:
        if key in known:
            continue
        folded = key.lower().replace("-", "_")
        close = wording.nearest(key, known) or wording.nearest(folded, known)
        free = [name for name in known if name not in error.value]
        hint = f"did you mean {close}?" if close else "known keys: " + ", ".join(free or known)
        yield Finding("KR101", f"the key {key!r} is not known", (*path, key), hint, at_key=True)


def _missing(error: Misfit, path: Path) -> Iterator[Finding]:
    properties = error.schema.get("properties", {})
    for key in error.rule:
        if key not in error.value:
            yield Finding(
                "KR102",
                f"the key {key!r} is missing",
                path,
                hint=wording.about(properties.get(key, {})),
                at_key=True,
            )


def _mistyped(error: Misfit, path: Path) -> Finding:
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
        hint = f"allowed: {wording.bounds(error.schema)}"
    else:
        hint = wording.about(error.schema)
    return Finding("KR103", _is(error.value, kinds), path, hint=hint)


def _is(value: Any, wanted: str) -> str:
    return f"{wording.shown(value)} is {_type_of(value)}, not {wanted}"


def _type_of(value: Any) -> str:
    for name in ("boolean", "integer", "number", "string", "array", "object", "null"):
        if is_type(value, name):
            return _TYPES[name]
    return "something else"


def _not_allowed(error: Misfit, path: Path, allowed: list[Any]) -> Finding:
    return Finding(
        "KR105",
        f"{wording.shown(error.value)} is not allowed here",
        path,
        hint=wording.allowed(error.value, allowed),
    )


def _out_of_range(error: Misfit, path: Path) -> Finding:
    side = "less than the least" if error.keyword == "minimum" else "more than the most"
    return Finding(
        "KR104",
        f"{wording.shown(error.value)} is {side}, {error.rule}",
        path,
        hint=f"allowed: {wording.bounds(error.schema)}",
    )
