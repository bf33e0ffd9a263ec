"""One {{ expression }}: cut out of its string, evaluated in a sandbox, made a plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from krunc_compiler.findings.wording import nearest

if TYPE_CHECKING:
    from jinja2.environment import TemplateExpression

# An intermediate text longer than this is a mistake or an attack.
_MAX_TEXT = 10_000
_MAX_NUMBER = 1 << 64
_MAX_EXPRESSION = 1_000
# An escape makes one, or a command line that is not UTF-8.
_HALF = re.compile("[\ud800-\udfff]")
# Jinja's filters and tests that take texts and numbers, and whose result is not much larger.
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "first", "last", "length", "lower", "max", "min",
    "round", "title", "trim", "truncate", "upper",
)  # fmt: skip
_TESTS = (
    "boolean", "defined", "divisibleby", "even", "false", "float", "in", "integer", "lower", "none",
    "number", "odd", "string", "true", "undefined", "upper", "==", "eq", "!=", "ne", ">", "gt",
    ">=", "ge", "<", "lt", "<=", "le",
)  # fmt: skip
# How the pieces of a template start and end.
_ENDS = {"variable_begin": "}}", "block_begin": "%}", "comment_begin": "#}"}
_ENDS |= {"{{": "}}", "{%": "%}", "{#": "#}"}
# What evaluating a stranger's expression can raise.
FAILURES = (
    TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)


class _Generator(CodeGenerator):
    """Joins texts with ~ as strings with expressions are joined."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Bounded(SandboxedEnvironment):
    """The sandbox does not stop 'x' * 10**9 or 9 ** 9 ** 9; this one does."""

    code_generator_class = _Generator
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

    def joined(self, parts: tuple[Any, ...]) -> str:
        """What ~ makes."""
        return "".join(map(as_text, parts))


def as_text(value: Any) -> str:
    """VALUE within a text, as YAML writes it: true, not True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | StrictUndefined):
        return str(value)
    kind = "null" if value is None else f"a {'map' if isinstance(value, dict) else 'list'}"
    raise TypeError(f"{kind} cannot stand within a text")


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        raise SecurityError(f"the text has more than {_MAX_TEXT:,} characters")
    return value


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """FUNCTION, a filter, for short texts only."""

    @wraps(function)
    def filtered(*given: Any, **named: Any) -> Any:
        return function(*map(_short, given), **named)

    return filtered


def _join(value: Any, between: str = "") -> str:
    parts = [as_text(item) for item in value]
    if sum(map(len, parts)) + len(between) * len(parts) > _MAX_TEXT:
        raise SecurityError("the result would be too long")
    return between.join(parts)


def _replace(value: Any, old: str, new: str) -> str:
    text = as_text(value)
    if len(text) + text.count(old) * len(new) > _MAX_TEXT:
        raise SecurityError("the result would be too long")
    return text.replace(old, new)


def _number(kind: type[int] | type[float], what: str) -> Callable[..., Any]:
    """A filter to numbers; Jinja's own makes a 0 of what is none."""

    def filtered(value: Any, default: Any = None) -> Any:
        try:
            return kind(value)
        except (TypeError, ValueError):
            if default is not None:
                return default
            raise ValueError(f"{str(value)[:60]!r} is no {what}") from None

    return filtered


@cache
def _environment() -> SandboxedEnvironment:
    # The optimizer tries each part of a long expression once for every level above it.
    environment = _Bounded(undefined=StrictUndefined, keep_trailing_newline=True, optimized=False)
    # No loops and nothing that makes endless things: an expression is a value.
    environment.globals.clear()
    taken = {name: environment.filters[name] for name in _FILTERS}
    taken |= {"join": _join, "replace": _replace, "string": as_text}
    taken |= {"int": _number(int, "whole number"), "float": _number(float, "number")}
    environment.filters = {name: _bounded(taken[name]) for name in sorted(taken)}
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    return environment


class Token(NamedTuple):
    """A piece of a string, as Jinja's lexer names its kind, and the offset at which it starts."""

    kind: str
    text: str
    start: int


def tokens(text: str) -> Iterator[Token]:
    """The pieces of TEXT; raises TemplateError where it is wrong."""
    start = 0
    # Jinja would make one line feed of every line end.
    flat = text.replace("\r", "\n")
    for _, kind, part in _environment().lex(flat):
        # Space beside {{- and -}} is not told.
        start = flat.index(part, start)
        end = start + len(part)
        yield Token(kind, text[start:end], start)
        start = end


def segments(text: str) -> Iterator[tuple[bool, str]]:
    """The pieces of TEXT: whether it is an expression, and its text without the braces.

    Raises TemplateError for statements, comments and braces that do not close.
    """
    inside: list[str] | None = None
    for kind, part, _ in tokens(text):
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


def place(text: str, number: int | None, word: str | None) -> tuple[int, int] | None:
    """Where the NUMBERth expression of TEXT stands, or the variable WORD in it.

    Without a NUMBER: where TEXT cannot be cut into expressions.
    """
    seen, begin, before = 0, 0, ""
    try:
        for kind, part, start in tokens(text):
            if kind in _ENDS:
                seen, begin = seen + 1, start
                if number is None and kind != "variable_begin":
                    break
            elif seen == number and kind == "name" and part == word and before != ".":
                return start, start + len(part)
            elif seen == number and kind == "variable_end":
                return begin, start + len(part.rstrip())
            before = part if kind != "whitespace" else before
    except TemplateError as error:
        if found := re.search(r" at (\d+)$", error.message or ""):
            return int(found[1]), int(found[1]) + 1
    if not seen:
        return None
    end = text.find(_ENDS.get(text[begin : begin + 2], "}}"), begin)
    line = text.find("\n", begin)
    return begin, end + 2 if end >= 0 else line if line >= 0 else len(text)


@lru_cache(4096)
def _compiled(expression: str) -> TemplateExpression:
    if len(expression) > _MAX_EXPRESSION:
        raise TemplateError(f"it has more than {_MAX_EXPRESSION:,} characters")
    return _environment().compile_expression(expression, undefined_to_none=False)


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of EXPRESSION; raises one of FAILURES."""
    return plain(_compiled(expression)(**variables))


def plain(value: Any) -> Any:
    """VALUE, when it is of text, numbers, true, false, null, lists and maps of them."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError, which names the variable
    if isinstance(value, str):
        if found := _HALF.search(value):
            raise ValueError(f"its result has U+{ord(found[0]):04X}, which is no character")
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
            raise ValueError("its result is too large")
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {plain(key): plain(item) for key, item in value.items()}
    raise TypeError("its result is no plain value")


def undefined(error: BaseException) -> str | None:
    """The variable that an expression misses, when ERROR says so."""
    found = re.match(r"'(\w+)' is undefined$", str(error))
    return found[1] if found and isinstance(error, UndefinedError) else None


def explained(error: BaseException) -> tuple[str, str]:
    """What ERROR, one of FAILURES, says about an expression, and the way out where there is one."""
    said = (error.message if isinstance(error, TemplateError) else str(error)) or ""
    if isinstance(error, RecursionError | MemoryError | SyntaxError):
        return "it is nested too deeply", "write less into one expression"
    if isinstance(error, NameError):  # Jinja writes 1e999 as inf into the code that it makes
        return "a number in it is too large", ""
    if found := re.match(r"No (filter|test) named '(.*)'", said):
        known = sorted(_environment().filters) if found[1] == "filter" else sorted(_TESTS)
        close = nearest(found[2], known)
        guess = f"did you mean {close}? " if close else ""
        return f"there is no {found[1]} {found[2]!r}", f"{guess}{found[1]}s: {', '.join(known)}"
    if "end of template" in said:
        return "it ends too early", "write what is missing before the }}"
    if said == "its }} is missing":
        return said, "write it behind the expression"
    if said == "chunk after expression":
        return "there is more after its end", "join texts with ~, as in {{ name ~ '-' ~ n }}"
    if "unexpected char" in said:
        return said.rpartition(" at ")[0], "put texts in quotes"
    if isinstance(error, TypeError) and "str" in said:
        return said, "join texts and numbers with ~, and make numbers of texts with | int"
    return said or type(error).__name__, ""
