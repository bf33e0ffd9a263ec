"""The filters and tests of expressions: each costs what its input's size is, out of one budget for
all expressions of a file, and says in a box's words what it does not take."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2 import TemplateError, Undefined
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError, UndefinedError

from krunc_compiler.values.work import OPERATION, STEP, Work

# An intermediate text longer than this is a mistake or an attack.
MAX_TEXT = 10_000
# Many times what any text of a box needs, and a whole number of Python that is quick to work with.
_MAX_BITS = 1024
# A double has 17 digits that mean anything, and 64-bit numbers have 20.
_MAX_DIGITS = 20
# Those that look at each character or item by a step of Python's own.
_STEPPING = ("join", "max", "min", "title")
# What each filter takes, and how it is written.
FILTERS = {
    "abs": "a number: n | abs",
    "capitalize": "a string: name | capitalize",
    "count": "a string, list or map: name | count",
    "d": "any value, and what stands for a missing one: name | d('none')",
    "default": "any value, and what stands for a missing one: name | default('none')",
    "first": "a string or list: names | first",
    "float": "a number or a string of one, and what replaces another string: n | float(0.5)",
    "int": "a number or a string of one, and what replaces another string: n | int(7)",
    "join": "a list of strings and numbers, and what is between: names | join(',')",
    "last": "a string or list: names | last",
    "length": "a string, list or map: name | length",
    "lower": "a string: name | lower",
    "max": "a list of numbers or one of strings: [a, b] | max",
    "min": "a list of numbers or one of strings: [a, b] | min",
    "replace": "a string, what is replaced, and by what: name | replace('_', '-')",
    "round": f"a number, and how many digits to keep, up to {_MAX_DIGITS}: n | round(2)",
    "string": "a string, a number, true or false: n | string",
    "title": "a string: name | title",
    "trim": "a string: name | trim",
    "truncate": "a string, and how many characters are kept: name | truncate(20)",
    "upper": "a string: name | upper",
}  # fmt: skip
TESTS = (
    "boolean", "defined", "divisibleby", "even", "false", "float", "in", "integer", "lower", "none",
    "number", "odd", "string", "true", "undefined", "upper", "==", "eq", "!=", "ne", ">", "gt",
    ">=", "ge", "<", "lt", "<=", "le",
)  # fmt: skip


class Misused(TemplateError):
    """A filter or test was given what it does not take; `way_out` says what it takes."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.way_out = way_out


def size(value: Any) -> int:
    """Return the characters and values in VALUE."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return 1 + sum(size(key) + size(item) for key, item in value.items())
    return 1 + (sum(map(size, value)) if isinstance(value, list | tuple) else 0)


def kind(value: Any) -> str:
    """Tell what VALUE is, in a box's words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Undefined):
        return "a missing variable"
    for types, name in (((str,), "a string"), ((int, float), "a number"), ((dict,), "a map")):
        if isinstance(value, types):
            return name
    return "a list"


def small(value: Any) -> Any:
    """Return VALUE, when it is no text or number that grows without end; raises SecurityError."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise SecurityError(f"the string has more than {MAX_TEXT:,} characters")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise SecurityError("the number would be too large")
    return value


def as_text(value: Any) -> str:
    """Return VALUE within a text, as YAML writes it: true, not True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined):
        return str(value)
    raise Misused(f"{kind(value)} cannot be within a string")


def bounded(
    name: str, function: Callable[..., Any], way_out: str, work: Callable[[], Work]
) -> Callable[..., Any]:
    """Return FUNCTION, the filter or test NAME, for values that are not too large; it takes what it
    costs from WORK."""

    @wraps(function)
    def filtered(*given: Any, **named: Any) -> Any:
        values = [one for one in (*given, *named.values()) if not isinstance(one, Environment)]
        work().spend(OPERATION)
        for value in values:
            work().weigh(small(value), STEP if name in _STEPPING else 1)
        try:
            return small(function(*given, **named))
        except (SecurityError, Misused, UndefinedError):
            raise
        except (TypeError, AttributeError, LookupError, ArithmeticError) as error:
            with_ = ", ".join(map(kind, values[1:]))
            what = f"{name} does not take {kind(values[0])}" + (f" with {with_}" if with_ else "")
            raise Misused(what, way_out) from error

    return filtered


def join(value: Any, between: str = "") -> str:
    """Return the items of VALUE as one text, with BETWEEN between them."""
    parts = [as_text(item) for item in value]
    if sum(map(len, parts)) + len(between) * len(parts) > MAX_TEXT:
        raise SecurityError("the result would be too long")
    return between.join(parts)


def replace(value: Any, old: str, new: str) -> str:
    """Return VALUE with NEW for each OLD."""
    text = as_text(value)
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise SecurityError("the result would be too long")
    return text.replace(old, new)


def rounded(value: Any, precision: int = 0, method: str = "common") -> Any:
    """Return VALUE with PRECISION digits behind the point, or zeros before it; as Jinja's own, but
    10 to the power of any precision is a number that may never be done."""
    if type(precision) is not int or abs(precision) > _MAX_DIGITS:
        raise Misused(
            f"round does not keep {precision!s:.20} digits", f"it takes {FILTERS['round']}"
        )
    if method not in ("common", "ceil", "floor"):
        raise Misused("round knows no such method", "methods: common, ceil, floor")
    from jinja2.filters import do_round

    return do_round(value, precision, method)  # type: ignore[arg-type]


def number(to: type[int] | type[float], what: str) -> Callable[..., Any]:
    """Return a filter to numbers; Jinja's own makes a 0 of what is none."""

    def converted(value: Any, default: Any = None) -> Any:
        if isinstance(value, Undefined):
            str(value)  # raises UndefinedError, which names the variable
        try:
            return to(value)
        except (TypeError, ValueError, OverflowError):
            if default is not None:
                return default
            said = repr(value[:60]) if isinstance(value, str) else kind(value)
            raise Misused(f"{said} is not {what}") from None

    return converted


def made(theirs: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return the filters by name: Jinja's own of THEIRS, and those that differ."""
    ours: dict[str, Callable[..., Any]] = {
        "join": join,
        "replace": replace,
        "round": rounded,
        "string": as_text,
        "int": number(int, "an integer"),
        "float": number(float, "a number"),
    }
    return {name: ours.get(name) or theirs[name] for name in FILTERS}
