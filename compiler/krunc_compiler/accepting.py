"""Whether a value fits a JSON Schema: the quick answer for what is right, as most values are.

Why something does not fit is told by misfits, with jsonschema, which takes longer to import than
all of a compilation and ten times as long to validate. Both agree: tests/test_accepting.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from typing import Any

from krunc_compiler.refs import resolved

Accept = Callable[[Any], bool]

_ANNOTATIONS = frozenset(["$schema", "$id", "$defs", "title", "description", "default", "examples"])


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
        """Whether VALUE fits the whole schema."""
        return self.part(self.schema)(value)

    def part(self, schema: Any) -> Accept:
        """The function for SCHEMA, a part of this one; raises KeyError for unknown keywords."""
        known = self._parts.get(id(schema))
        if known is None:
            known = self._parts[id(schema)] = (schema, self._made(schema))
        return known[1]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """SCHEMA, a part of this one, with what its $ref names."""
        if "$ref" not in schema:
            return schema
        known = self._whole.get(id(schema))
        if known is None:
            known = self._whole[id(schema)] = (schema, resolved(schema, self._defs))
        return known[1]

    def _made(self, schema: dict[str, Any]) -> Accept:
        tests = [
            _KEYWORDS[keyword](self, rule, schema)
            for keyword, rule in schema.items()
            if keyword not in _ANNOTATIONS and not keyword.startswith("x-")
        ]
        if len(tests) == 1:
            return tests[0]
        return _both(*tests) if len(tests) == 2 else _all(tests)

    def _reference(self, name: str, _: Any) -> Accept:
        name = name.rsplit("/", 1)[1]

        def test(value: Any) -> bool:
            # Late, for a definition may lead back to itself.
            accept = self._named.get(name)
            if accept is None:
                accept = self._named[name] = self.part(self._defs[name])
            return accept(value)

        return test

    def _keys(self, properties: dict[str, Any], schema: dict[str, Any]) -> Accept:
        rules = {key: self.part(rule) for key, rule in properties.items()}
        others = schema.get("additionalProperties", {})
        other = None if others is False else self.part(others)

        def test(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for key, item in value.items():
                rule = rules.get(key, other)
                if rule is None or not rule(item):
                    return False
            return True

        return test

    def _other_keys(self, _: Any, schema: dict[str, Any]) -> Accept:
        # With properties, one walk over the keys does both.
        return _anything if "properties" in schema else self._keys({}, schema)

    def _key_names(self, rule: Any, _: Any) -> Accept:
        accept = self.part(rule)
        return lambda value: not isinstance(value, dict) or all(map(accept, value))

    def _items(self, rule: Any, _: Any) -> Accept:
        accept = self.part(rule)
        return lambda value: not isinstance(value, list) or all(map(accept, value))

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


def _anything(_: Any) -> bool:
    return True


def _both(one: Accept, other: Accept) -> Accept:
    return lambda value: one(value) and other(value)


def _all(tests: list[Accept]) -> Accept:
    # Loops, not all(...) of a generator: these run for every value of every box.
    def test(value: Any) -> bool:
        for accept in tests:  # noqa: SIM110
            if not accept(value):
                return False
        return True

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# True is no number and 1.0 no whole number.
_TYPES: dict[str, Accept] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}


def is_type(value: Any, name: str) -> bool:
    """Whether VALUE is of the type NAME of JSON Schema."""
    return _TYPES[name](value)


def _type(_: Acceptor, names: Any, schema: Any) -> Accept:
    if isinstance(names, str):
        return _TYPES[names]
    tests = [_TYPES[name] for name in names]
    return lambda value: any(test(value) for test in tests)


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
    return lambda value: not isinstance(value, dict) or wanted <= value.keys()


def _pattern(_: Acceptor, pattern: str, schema: Any) -> Accept:
    search: Callable[[str], object] | None = None

    def test(value: Any) -> bool:
        nonlocal search
        if not isinstance(value, str):
            return True
        if search is None:  # most patterns meet no value
            search = re.compile(pattern).search
        return search(value) is not None

    return test


def _least(_: Acceptor, least: float, schema: Any) -> Accept:
    return lambda value: not _is_number(value) or value >= least


def _most(_: Acceptor, most: float, schema: Any) -> Accept:
    return lambda value: not _is_number(value) or value <= most


def _shortest(kind: type[Sized]) -> Callable[[Acceptor, int, Any], Accept]:
    def make(_: Acceptor, least: int, schema: Any) -> Accept:
        return lambda value: not isinstance(value, kind) or len(value) >= least

    return make


def _longest(kind: type[Sized]) -> Callable[[Acceptor, int, Any], Accept]:
    def make(_: Acceptor, most: int, schema: Any) -> Accept:
        return lambda value: not isinstance(value, kind) or len(value) <= most

    return make


_KEYWORDS: dict[str, Callable[[Acceptor, Any, Any], Accept]] = {
    "$ref": Acceptor._reference,
    "additionalProperties": Acceptor._other_keys,
    "anyOf": Acceptor._any_of,
    "const": _const,
    "enum": _enum,
    "items": Acceptor._items,
    "maxItems": _longest(list),
    "maxLength": _longest(str),
    "maxProperties": _longest(dict),
    "maximum": _most,
    "minItems": _shortest(list),
    "minLength": _shortest(str),
    "minProperties": _shortest(dict),
    "minimum": _least,
    "not": Acceptor._none_of,
    "oneOf": Acceptor._one_of,
    "pattern": _pattern,
    "properties": Acceptor._keys,
    "propertyNames": Acceptor._key_names,
    "required": _required,
    "type": _type,
}

_KEPT: dict[int, Acceptor] = {}


def acceptor(schema: dict[str, Any]) -> Acceptor:
    """The acceptor of SCHEMA; that of a contract, which has definitions, is made once."""
    if "$defs" not in schema:
        return Acceptor(schema)
    kept = _KEPT.get(id(schema))
    if kept is None:
        kept = _KEPT[id(schema)] = Acceptor(schema)
    return kept
