"""Whether a value fits a JSON Schema: the quick answer for what is right, as most values are.

Its partner for the why is misfits, with jsonschema, which takes longer to import than all of a
compilation and ten times as long to validate; checking words what it finds.
tests/shape/test_accepting.py holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from krunc_compiler.shape.patterns import of_python
from krunc_compiler.shape.refs import resolved
from krunc_compiler.shape.type_tests import Accept, joined, of, one_of_types, typed

# What says nothing of a value; its type is asked for by whoever makes the rest.
_SILENT = frozenset(
    ["$schema", "$id", "$defs", "title", "description", "default", "examples", "type"]
)


class Acceptor:
    """A schema of the keywords that ours are made of, as functions of a value."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self._defs: dict[str, Any] = schema.get("$defs", {})
        self._named: dict[str, Accept] = {}
        # By identity: the parts of one schema live as long as it does.
        self._parts: dict[int, tuple[Any, Accept]] = {}
        self._whole: dict[int, tuple[Any, dict[str, Any]]] = {}

    def accepts(self, value: Any) -> bool:
        """Tell whether VALUE fits the whole schema."""
        return self.part(self.schema)(value)

    def part(self, schema: Any) -> Accept:
        """Return the function for SCHEMA, a part of this one; that, or it, raises KeyError for
        unknown keywords."""
        known = self._parts.get(id(schema))
        if known is None:
            known = self._parts[id(schema)] = (schema, self._made(schema))
        return known[1]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return SCHEMA, a part of this one, with what its $ref names."""
        if "$ref" not in schema:
            return schema
        known = self._whole.get(id(schema))
        if known is None:
            known = self._whole[id(schema)] = (schema, resolved(schema, self._defs))
        return known[1]

    def _made(self, schema: dict[str, Any]) -> Accept:
        by_type: dict[str, list[Accept]] = {}
        for keyword, rule in schema.items():
            if keyword not in _SILENT and not keyword.startswith("x-"):
                name, make = _KEYWORDS[keyword]
                test = make(self, rule, schema)
                if test is not _anything:
                    by_type.setdefault(name, []).append(test)
        tests = by_type.pop(_ANY, [])
        # The one type of a schema is asked for once, and before what is only said of that type.
        one = schema.get("type")
        if isinstance(one, str):
            tests += by_type.pop(_BROADER.get(one, one), [])
        elif one is not None:
            tests.insert(0, one_of_types(one))
        tests += [of(name, joined(those)) for name, those in by_type.items()]
        return typed(one, tests) if isinstance(one, str) else joined(tests)

    def _reference(self, name: str, _: Any) -> Accept:
        name = name.rsplit("/", 1)[1]
        accept = self._named.get(name)
        if accept is None:
            # Late where a definition leads back to itself.
            self._named[name] = lambda value: self._named[name](value)
            accept = self._named[name] = self.part(self._defs[name])
        return accept

    def _keys(self, properties: dict[str, Any], schema: dict[str, Any]) -> Accept:
        others = schema.get("additionalProperties", {})
        patterns = schema.get("patternProperties", {})
        if others in ({}, True) and not patterns:
            return self._these_keys({key: self.part(rule) for key, rule in properties.items()})
        rules: dict[str, Accept] = {}
        only_these = others is False and not patterns

        def made(key: str) -> Accept | None:
            """Return the function for what stands under KEY, made for the first value that has it,
            which most keys of a contract never meet; None where KEY may not stand."""
            if key in properties:
                rules[key] = self.part(properties[key])
                return rules[key]
            for rule in (patterns[one] for one in patterns if re.search(of_python(one), key)):
                return self.part(rule)
            return None if others is False else self.part(others)

        def test(value: Any) -> bool:
            if only_these and not value.keys() <= properties.keys():
                return False
            for key, item in value.items():
                rule = rules.get(key) or made(key)
                if rule is None or not rule(item):
                    return False
            return True

        return test

    def _these_keys(self, rules: dict[str, Accept]) -> Accept:
        """Return the function for values of which RULES say something of few keys."""

        def test(value: Any) -> bool:
            for key, rule in rules.items():  # noqa: SIM110
                if key in value and not rule(value[key]):
                    return False
            return True

        return test

    def _other_keys(self, others: Any, schema: dict[str, Any]) -> Accept:
        if "properties" in schema:
            return _anything  # one walk over the keys does both
        if others is False:
            return lambda value: not value
        accept = self.part(others)
        return lambda value: all(map(accept, value.values()))

    def _patterned(self, _: Any, schema: dict[str, Any]) -> Accept:
        if "properties" not in schema:
            raise KeyError("patternProperties without properties")
        return _anything  # one walk over the keys does both

    def _key_names(self, rule: Any, _: Any) -> Accept:
        accept = self.part(rule)
        return lambda value: all(map(accept, value))

    def _items(self, rule: Any, _: Any) -> Accept:
        accept = self.part(rule)
        return lambda value: all(map(accept, value))

    def _one_of(self, rules: list[Any], _: Any) -> Accept:
        accepts = [self.part(rule) for rule in rules]

        def test(value: Any) -> bool:
            found = False
            for accept in accepts:
                if accept(value):
                    if found:
                        return False
                    found = True
            return found

        return test

    def _any_of(self, rules: list[Any], _: Any) -> Accept:
        accepts = [self.part(rule) for rule in rules]
        return lambda value: any(accept(value) for accept in accepts)

    def _none_of(self, rule: Any, _: Any) -> Accept:
        accept = self.part(rule)
        return lambda value: not accept(value)


# Of these the other keywords speak by another name.
_BROADER = {"integer": "number"}


def _anything(_: Any) -> bool:
    return True


def _enum(_: Acceptor, allowed: list[Any], schema: Any) -> Accept:
    if any(isinstance(item, list | dict) for item in allowed):
        raise KeyError("enum of lists or maps")
    texts = frozenset(item for item in allowed if isinstance(item, str))
    others = [item for item in allowed if not isinstance(item, str)]

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return value in texts
        return any(
            value == item and isinstance(value, bool) is isinstance(item, bool) for item in others
        )

    return test


def _const(acceptor: Acceptor, value: Any, schema: Any) -> Accept:
    return _enum(acceptor, [value], schema)


def _required(_: Acceptor, keys: list[str], schema: Any) -> Accept:
    wanted = frozenset(keys)
    return lambda value: wanted <= value.keys()


def _pattern(_: Acceptor, pattern: str, schema: Any) -> Accept:
    search: Callable[[str], object] | None = None

    def test(value: Any) -> bool:
        nonlocal search
        if search is None:  # most patterns meet no value
            search = re.compile(of_python(pattern)).search
        return search(value) is not None

    return test


def _least(_: Acceptor, least: float, schema: Any) -> Accept:
    return lambda value: value >= least


def _most(_: Acceptor, most: float, schema: Any) -> Accept:
    return lambda value: value <= most


def _shortest(_: Acceptor, least: int, schema: Any) -> Accept:
    return lambda value: len(value) >= least


def _longest(_: Acceptor, most: int, schema: Any) -> Accept:
    return lambda value: len(value) <= most


# Each keyword with the type of values that it says something of.
_ANY = ""
_KEYWORDS: dict[str, tuple[str, Callable[[Acceptor, Any, Any], Accept]]] = {
    "$ref": (_ANY, Acceptor._reference),
    "additionalProperties": ("object", Acceptor._other_keys),
    "allOf": (_ANY, lambda acceptor, rules, _: joined(list(map(acceptor.part, rules)))),
    "anyOf": (_ANY, Acceptor._any_of),
    "const": (_ANY, _const),
    "enum": (_ANY, _enum),
    "items": ("array", Acceptor._items),
    "maxItems": ("array", _longest),
    "maxLength": ("string", _longest),
    "maxProperties": ("object", _longest),
    "maximum": ("number", _most),
    "minItems": ("array", _shortest),
    "minLength": ("string", _shortest),
    "minProperties": ("object", _shortest),
    "minimum": ("number", _least),
    "not": (_ANY, Acceptor._none_of),
    "oneOf": (_ANY, Acceptor._one_of),
    "pattern": ("string", _pattern),
    "properties": ("object", Acceptor._keys),
    "patternProperties": ("object", Acceptor._patterned),
    "propertyNames": ("object", Acceptor._key_names),
    "required": ("object", _required),
}

_KEPT: dict[int, Acceptor] = {}


def acceptor(schema: dict[str, Any]) -> Acceptor:
    """Return the acceptor of SCHEMA; that of a contract, which has definitions, is made once."""
    if "$defs" not in schema:
        return Acceptor(schema)
    kept = _KEPT.get(id(schema))
    if kept is None:
        kept = _KEPT[id(schema)] = Acceptor(schema)
    return kept
