"""One {{ expression }}: cut out of its string, evaluated in a sandbox, made a plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

if TYPE_CHECKING:
    from jinja2.environment import TemplateExpression

# An intermediate text longer than this is a mistake or an attack.
_MAX_TEXT = 100_000
_MAX_NUMBER = 1 << 64
_MAX_EXPRESSION = 1_000
# Filters whose result is not much larger than what goes in.
_FILTERS = frozenset(
    (
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "first",
        "float",
        "int",
        "last",
        "length",
        "list",
        "lower",
        "max",
        "min",
        "round",
        "sort",
        "string",
        "sum",
        "title",
        "trim",
        "truncate",
        "unique",
        "upper",
    )
)
# What evaluating a stranger's expression can raise.
FAILURES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)


class _Bounded(SandboxedEnvironment):
    """The sandbox does not stop 'x' * 10**9 or 9 ** 9 ** 9; this one does."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) for side in (left, right) if hasattr(side, "__len__")]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if operator == "*" and (isinstance(left, list) or isinstance(right, list)):
            raise SecurityError("a list cannot be multiplied")
        if operator == "*" and sizes and numbers and sizes[0] * numbers[0] > _MAX_TEXT:
            raise SecurityError("the result would be too long")
        if operator == "**" and (max(numbers, default=0) > 10_000 or numbers[-1:] > [64]):
            raise SecurityError("the number would be too large")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("use ~ to join texts instead of the % operator")
        return super().call_binop(context, operator, left, right)

    def call(*_: Any, **__: Any) -> Any:
        """No calls at all: a method such as ljust makes texts without end."""
        raise SecurityError("nothing is called here; use a filter, as in {{ name | lower }}")


def _join(value: Any, between: str = "") -> str:
    parts = [str(item) for item in value]
    if sum(map(len, parts)) + len(between) * len(parts) > _MAX_TEXT:
        raise SecurityError("the result would be too long")
    return between.join(parts)


def _replace(value: Any, old: str, new: str) -> str:
    text = str(value)
    if len(text) + text.count(old) * len(new) > _MAX_TEXT:
        raise SecurityError("the result would be too long")
    return text.replace(old, new)


@cache
def _environment() -> SandboxedEnvironment:
    environment = _Bounded(undefined=StrictUndefined, keep_trailing_newline=True)
    # No loops and nothing that makes endless things: an expression is a value.
    environment.globals.clear()
    for name in [name for name in environment.filters if name not in _FILTERS]:
        del environment.filters[name]
    environment.filters |= {"join": _join, "replace": _replace}
    return environment


def segments(text: str) -> Iterator[tuple[bool, str]]:
    """The pieces of TEXT: whether it is an expression, and its text without the braces.

    Raises TemplateError for statements, comments and braces that do not close.
    """
    inside: list[str] | None = None
    for _, kind, part in _environment().lex(text):
        if kind == "variable_begin":
            inside = []
        elif kind == "variable_end":
            yield True, "".join(inside or ())
            inside = None
        elif inside is not None:
            inside.append(part)
        elif kind == "data":
            yield False, part
        else:
            raise TemplateError(
                "only {{ expressions }} may stand in a box, no {% statements %} and no "
                "{# comments #}; {{ '{#' }} writes the characters themselves"
            )
    if inside is not None:
        raise TemplateError("its }} is missing")


@lru_cache(4096)
def _compiled(expression: str) -> TemplateExpression:
    if len(expression) > _MAX_EXPRESSION:
        raise TemplateError(f"it has more than {_MAX_EXPRESSION:,} characters")
    return _environment().compile_expression(expression, undefined_to_none=False)


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of EXPRESSION; raises one of FAILURES."""
    return _compiled(expression)(**variables)


def plain(value: Any) -> Any:
    """VALUE, when it is of text, numbers, true, false, null, lists and maps of them."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError, which names the variable
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
            raise ValueError("its result is too large")
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    raise TypeError("its result is no plain value")


def undefined(error: BaseException) -> str | None:
    """The variable that an expression misses, when ERROR says so."""
    found = re.match(r"'(\w+)' is undefined$", str(error))
    return found[1] if found and isinstance(error, UndefinedError) else None
