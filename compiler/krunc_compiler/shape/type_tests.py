"""What a JSON Schema asks of a value by its type, as functions.

Neither all(...) nor a loop is in those for the few tests that most are, and a type is asked for
without a call: they run for every value of every box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Accept = Callable[[Any], bool]


def joined(tests: list[Accept]) -> Accept:
    """Return all TESTS as one."""
    match tests:
        case [one]:
            return one
        case [one, two]:
            return lambda value: one(value) and two(value)
        case [one, two, three]:
            return lambda value: one(value) and two(value) and three(value)

    def test(value: Any) -> bool:
        for accept in tests:  # noqa: SIM110
            if not accept(value):
                return False
        return True

    return test


def typed(name: str, tests: list[Accept]) -> Accept:
    """Return TESTS for values of the type NAME; no other is right."""
    one = _CLASSES.get(name)
    if one is None:
        return joined([_TYPES[name], *tests])
    match tests:
        case []:
            return lambda value: isinstance(value, one)
        case [first, second]:
            return lambda value: isinstance(value, one) and first(value) and second(value)
    test = joined(tests)
    return lambda value: isinstance(value, one) and test(value)


def of(name: str, accept: Accept) -> Accept:
    """Return ACCEPT for values of the type NAME; any other is right."""
    is_one = _TYPES[name]
    return lambda value: not is_one(value) or accept(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CLASSES: dict[str, type] = {"array": list, "boolean": bool, "object": dict, "string": str}
# True is no number and 1.0 no whole number.
_TYPES: dict[str, Accept] = {
    **{name: typed(name, []) for name in _CLASSES},
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
}


def is_type(value: Any, name: str) -> bool:
    """Tell whether VALUE is of the type NAME of JSON Schema."""
    return _TYPES[name](value)


def one_of_types(names: list[str]) -> Accept:
    """Return the test whether a value is of a type of NAMES."""
    tests = [_TYPES[name] for name in names]
    return lambda value: any(test(value) for test in tests)
