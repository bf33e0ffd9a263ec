"""A value against a JSON Schema: findings in the words of the one who wrote the value.

fast_checking gives the quick yes, misfits the why after a no: tests/shape/test_accepting.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.shape import rewriting
from krunc_compiler.shape.fast_checking import acceptor
from krunc_compiler.shape.guesses import Meant, guesses, keys_named
from krunc_compiler.shape.type_tests import is_type

if TYPE_CHECKING:
    from krunc_compiler.shape.misfits import Misfit

# So much farther from the value is a form, where it lacks a key, or where the value has a key of
# another form: which keys are there says which form is meant, whatever is below them.
_FAR = 10
_OF_KEYS = ("required", "additionalProperties")
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}


def check(
    value: Any, schema: dict[str, Any], meant: Meant = lambda path, key: None
) -> list[Finding]:
    """Find everything about VALUE that does not fit SCHEMA; MEANT knows other names of keys."""
    if acceptor(schema).accepts(value):
        return []
    from krunc_compiler.shape.misfits import misfits

    found = (one for misfit in misfits(value, schema) for one in _findings(misfit, (), meant))
    return list(dict.fromkeys(found))


def _findings(error: Misfit, above: Path, meant: Meant) -> Iterator[Finding]:
    path = (*above, *error.path)
    rule = error.rule
    match error.keyword:
        case "oneOf" | "anyOf":
            yield from _branch(error, path, meant)
        case "additionalProperties":
            yield from _unknown(error, path, meant)
        case "required":
            yield from _missing(error, path, meant)
        case "propertyNames":
            yield from ()
        case "type":
            yield _mistyped(error, path)
        case "enum" | "const":
            yield _not_allowed(error, path, rule if error.keyword == "enum" else [rule])
        case "not":
            message = f"{wording.shown(error.value)} is not allowed here"
            yield Finding("KR105", message, path, hint=error.schema.get("x-not", ""))
        case "minimum" | "maximum":
            yield _out_of_range(error, path)
        case "pattern":
            form = error.schema.get("x-form", f"a string that fits {rule}")
            yield _formed(error, path, form)
        case "minLength" | "minProperties" | "minItems":
            message = wording.too_few(error.value, rule)
            yield Finding("KR104", message, path, wording.filled(rule, error.schema, error.may_go))
        case _:
            things = {"maxItems": "items", "maxProperties": "keys"}
            size = f"write at most {rule} {things.get(error.keyword, 'characters')}"
            yield Finding("KR104", f"{wording.shown(error.value)} is too long", path, hint=size)


def _formed(error: Misfit, path: Path, form: str) -> Finding:
    where = (*path, error.value) if error.is_name else path
    return Finding(
        "KR106",
        f"{wording.shown(error.value)} has an invalid format",
        where,
        hint=f"write {form}",
        at_key=error.is_name,
    )


def _branch(error: Misfit, path: Path, meant: Meant) -> Iterator[Finding]:
    """Yield the findings of the branch that was meant."""
    branches: dict[int, list[Misfit]] = {}
    for inner in error.context:
        branches.setdefault(inner.branch, []).append(inner)
    rules = error.rule
    fitting = [
        index
        for index, errors in branches.items()
        if not any(_is_of_another_kind(inner) for inner in errors)
    ]
    if not fitting:
        kinds = " or ".join(dict.fromkeys(_kind(rule) for rule in rules))
        yield Finding(
            "KR103",
            _is(error.value, kinds),
            path,
            hint=wording.forms_of(rules)
            or wording.quotes(error.value, rules)
            or rewriting.rewritten(error.value, _wanted(rules), error.defs)
            or wording.meant(error.schema),
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
        hint = f"add one of them. {wording.about(error.schema)}".rstrip(". ")
        yield Finding("KR102", f"the key {keys} is missing", path, hint)
        return
    named = keys_named(error.value, rules, path, meant)
    nearest = min(fitting, key=lambda i: _distance(branches[i], rules[i], named))
    for inner in branches[nearest]:
        if inner.keyword == "enum" and not inner.path:
            forms = rewriting.forms(inner.value, inner.rule, rules, error.defs)
            yield _not_allowed(inner, path, inner.rule, forms)
        elif inner.keyword == "additionalProperties" and not inner.path:
            yield from _of_another_form(inner, rules, path, meant)
        else:
            yield from _findings(inner, path, meant)


def _wanted(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first of RULES that is about a list or a map; of kinds of maps, what they
    share."""
    key = _discriminator(rules)
    if key:
        return {"type": "object", "required": [key], "kinds": [_const(rule, key) for rule in rules]}
    return next((rule for rule in rules if rule.get("type") in ("array", "object")), {})


def _is_of_another_kind(error: Misfit) -> bool:
    """Tell whether ERROR says that the whole value is of another kind than a branch wants."""
    if error.path:
        return False
    return error.keyword in ("type", "const") or (
        error.keyword == "enum" and isinstance(error.value, dict | list)
    )


def _of_another_form(
    error: Misfit, rules: list[dict[str, Any]], path: Path, meant: Meant
) -> Iterator[Finding]:
    """Yield the unknown keys of a form; those of a sibling form do not go with this one's."""
    own = next(iter(error.schema.get("required", ())), error.schema.get("x-own", ""))
    kind = _const(error.schema, own)
    for finding in _unknown(error, path, meant):
        key = finding.path[-1]
        theirs = [rule for rule in rules if key in rule.get("properties", {})]
        if not own or own not in error.value or not theirs:
            yield finding
        elif kind is None:
            message = f"the key {key!r} cannot be combined with {own!r}"
            yield finding._replace(code="KR107", message=message, hint="remove one of them")
        else:
            kinds = ", ".join(str(_const(rule, own)) for rule in theirs)
            message = f"the key {key!r} cannot be combined with {own}: {kind}"
            hint = f"remove it; it applies to {own}: {kinds}"
            yield finding._replace(code="KR107", message=message, hint=hint)


def _discriminator(rules: list[dict[str, Any]]) -> str:
    """Return the key whose constant tells the branches that are maps apart; empty when there is
    none."""
    maps = [rule for rule in rules if rule.get("type") == "object"]
    if len(maps) < 2:
        return ""
    return next((key for key in maps[0]["properties"] if all(_const(m, key) for m in maps)), "")


def _const(rule: dict[str, Any], key: str) -> Any:
    return rule.get("properties", {}).get(key, {}).get("const")


def _of_no_kind(error: Misfit, path: Path, key: str, kinds: list[str]) -> Finding:
    if key not in error.value:
        hint = wording.added(key, {"enum": kinds})
        return Finding("KR102", f"the key {key!r} is missing", path, hint, at_key=True)
    kind = error.value[key]
    message = f"{wording.shown(kind)} is not allowed here"
    return Finding("KR105", message, (*path, key), hint=wording.allowed(kind, kinds))


def _distance(errors: list[Misfit], form: dict[str, Any], named: set[str]) -> int:
    """Tell how far a value is from FORM, with the ERRORS that it has as one, when its keys are
    those NAMED of any form."""
    foreign = named - form.get("properties", {}).keys()
    far = set(form.get("required", ())) - named
    if form.get("additionalProperties") is False:
        far |= foreign
    inner = (error for error in errors if error.path or error.keyword not in _OF_KEYS)
    return _FAR * len(far) + sum(_FAR if error.keyword == "required" else 1 for error in inner)


def _kind(rule: dict[str, Any]) -> str:
    if "const" in rule:
        return str(rule["const"])
    kinds = rule.get("type", "object")
    return " or ".join(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _unknown(error: Misfit, path: Path, meant: Meant) -> Iterator[Finding]:
    known = list(error.schema.get("properties", {}))
    free = [name for name in known if name not in error.value] or known
    for key, close in guesses(error, path, meant).items():
        hint = f"did you mean {close}?" if close else f"use a known key: {', '.join(sorted(free))}"
        yield Finding("KR101", f"the key {key!r} is not known", (*path, key), hint, at_key=True)


def _missing(error: Misfit, path: Path, meant: Meant) -> Iterator[Finding]:
    properties = error.schema.get("properties", {})
    # A key that is misspelt is one mistake, which the unknown key's finding tells.
    misspelt = set(guesses(error, path, meant).values())
    for key in error.rule:
        if key not in error.value and key not in misspelt:
            yield Finding(
                "KR102",
                f"the key {key!r} is missing",
                path,
                hint=wording.added(key, properties.get(key, {})),
                at_key=True,
            )


def _mistyped(error: Misfit, path: Path) -> Finding:
    rule = error.rule
    kinds = " or ".join(_TYPES[name] for name in ([rule] if isinstance(rule, str) else rule))
    form = wording.octal(error.value, error.schema) or error.schema.get("x-form")
    quotes = error.value is not None and wording.quotes(error.value, [error.schema])
    if form and not (quotes and acceptor(error.schema).accepts(str(error.value))):
        hint = f"write {form}"
    elif rule == "string" and not isinstance(error.value, dict | list):
        hint = wording.quotes(error.value, [error.schema])
    elif rule == "boolean":
        hint = "write true or false"
    elif "minimum" in error.schema or "maximum" in error.schema:
        hint = f"write {wording.bounds(error.schema)}"
    else:
        hint = rewriting.rewritten(error.value, error.schema, error.defs) or wording.meant(
            error.schema
        )
    return Finding("KR103", _is(error.value, kinds), path, hint=hint)


def _is(value: Any, wanted: str) -> str:
    if value is None or isinstance(value, bool):
        return f"expected {wanted}, got {wording.shown(value)}"
    return f"{wording.shown(value)} is {_type_of(value)}, not {wanted}"


def _type_of(value: Any) -> str:
    for name in ("boolean", "integer", "number", "string", "array", "object", "null"):
        if is_type(value, name):
            return _TYPES[name]
    return "something else"


def _not_allowed(
    error: Misfit, path: Path, allowed: list[Any], forms: Sequence[str] = ()
) -> Finding:
    return Finding(
        "KR105",
        f"{wording.shown(error.value)} is not allowed here",
        path,
        hint=wording.allowed(error.value, allowed, forms),
    )


def _out_of_range(error: Misfit, path: Path) -> Finding:
    side = "below the minimum" if error.keyword == "minimum" else "above the maximum"
    return Finding(
        "KR104",
        f"{wording.shown(error.value)} is {side} of {error.rule}",
        path,
        hint=f"write {wording.bounds(error.schema)}",
    )
