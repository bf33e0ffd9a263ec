"""A value as the string, the list or the map that a schema wants: only what fits is written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from krunc_compiler.findings import wording
from krunc_compiler.shape.fast_checking import Acceptor
from krunc_compiler.shape.refs import resolved

_LONGEST = 60
# A string that says nothing: what takes it takes any.
_ANY = "?"


def rewritten(value: Any, rule: dict[str, Any], defs: dict[str, Any]) -> str:
    """Tell how VALUE, which is of another type, is written as the string, the list or the map that
    RULE wants, whose $refs name DEFS."""
    if rule.get("type") == "string":
        return wording.one_string(value, rule)
    if rule.get("type") == "array":
        return _as_list(value, rule, defs)
    if rule.get("type") != "object":
        return ""
    if value is None:
        return "write its keys below it, further to the right"
    kinds = rule.get("kinds", [])
    if kinds:
        (key,) = rule["required"]
        if value in kinds:
            return f"write a map: {{{key}: {value}}}"
        return f"write a map: {{{key}: ...}}, where {key} is one of {', '.join(kinds)}"
    return f"write a map: {_as_map(value, rule, defs)}"


def forms(
    value: Any, allowed: list[Any], rules: list[dict[str, Any]], defs: dict[str, Any]
) -> list[str]:
    """Return VALUE as each of RULES has it that wants a map of one key; no VALUE is in them that is
    a misspelt one of those ALLOWED."""
    maps = [rule for rule in rules if rule.get("type") == "object" and rule.get("required")]
    is_misspelt = wording.nearest(str(value), map(str, allowed)) is not None
    return [_as_map(None if is_misspelt else value, rule, defs) for rule in maps]


def _as_list(value: Any, rule: dict[str, Any], defs: dict[str, Any]) -> str:
    if value is None:
        return "write its items below it, each with - before it"
    item = resolved(rule.get("items", {}), defs)
    ways = [resolved(way, defs) for way in item.get("oneOf", [item])]
    maps = [way for way in ways if way.get("type") == "object"]
    if isinstance(value, dict) and maps:
        return "write a list: - before the first key of each item"
    if _accepts(item, defs)(value):
        more = "" if _accepts(rule, defs)([value]) else ", ..."
        return f"write a list: [{wording.shown(value)}{more}]"
    if "enum" in item:
        return f"write a list of these, [] for none: {', '.join(map(str, item['enum']))}"
    if maps:
        return f"write a list of maps: [{_as_map(value, maps[0], defs)}]"
    said = wording.forms_of(ways).removeprefix("write ")
    return f"write a list, each item {said}" if said else "write a list: [...]"


def _as_map(value: Any, rule: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return the map of RULE that VALUE stands for: VALUE is where it alone can be meant."""
    rules = {key: resolved(inner, defs) for key, inner in rule.get("properties", {}).items()}
    known = rule.get("required", [])
    if len(known) > 1:
        return f"{{{', '.join(f'{key}: ...' for key in known)}}}"
    short = isinstance(value, bool | int | str) and len(str(value)) <= _LONGEST
    if not rules:
        name = next(iter(rule.get("examples", [{}])[0]), "NAME")
        fits = short and _accepts(rule, defs)({name: value})
        return f"{{NAME: {_shown(value) if fits else '...'}}}"
    # What true is about, no key alone can tell.
    some = [] if isinstance(value, bool) else rules.items()
    keys = known or [key for key, inner in some if not _accepts(inner, defs)(_ANY)]
    own = [key for key in keys if short and _accepts(rules[key], defs)(value)]
    if len(own) == 1 and value != own[0]:
        return f"{{{own[0]}: {_shown(value)}}}"
    if known:
        return f"{{{known[0]}: ...}}"
    return f"{{KEY: ...}}, where KEY is one of {', '.join(rules)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else wording.shown(value)


def _accepts(rule: dict[str, Any], defs: dict[str, Any]) -> Callable[[Any], bool]:
    return Acceptor({**rule, "$defs": defs}).accepts
