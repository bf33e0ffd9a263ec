"""One {{ expression }}: evaluated in a sandbox, made a plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, wraps
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.parser import Parser
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
# Statements and comments, which Jinja cannot do without, start and end with what no text has.
_NOWHERE = "\uffff\ufffe"
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


class NoVariable(TemplateError):
    """An expression uses no variable: hardly one was meant."""


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
        """Return no calls at all: a method such as ljust makes texts without end."""
        raise SecurityError("nothing is called here; use a filter, as in {{ name | lower }}")

    def joined(self, parts: tuple[Any, ...]) -> str:
        """Tell what ~ makes."""
        return "".join(map(as_text, parts))


def as_text(value: Any) -> str:
    """Return VALUE within a text, as YAML writes it: true, not True."""
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
    """Return FUNCTION, a filter, for short texts only."""

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
    """Return a filter to numbers; Jinja's own makes a 0 of what is none."""

    def filtered(value: Any, default: Any = None) -> Any:
        try:
            return kind(value)
        except (TypeError, ValueError):
            if default is not None:
                return default
            raise ValueError(f"{str(value)[:60]!r} is no {what}") from None

    return filtered


@cache
def environment() -> SandboxedEnvironment:
    """Return the sandbox, in which a text has expressions, and nothing else of Jinja."""
    # The optimizer tries each part of a long expression once for every level above it.
    made = _Bounded(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        optimized=False,
        **{
            f"{what}_{end}_string": f"{_NOWHERE}{what}{end}"
            for what in ("block", "comment")
            for end in ("start", "end")
        },
    )
    # No loops and nothing that makes endless things: an expression is a value.
    made.globals.clear()
    taken = {name: made.filters[name] for name in _FILTERS}
    taken |= {"join": _join, "replace": _replace, "string": as_text}
    taken |= {"int": _number(int, "whole number"), "float": _number(float, "number")}
    made.filters = {name: _bounded(taken[name]) for name in sorted(taken)}
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


@lru_cache(4096)
def _compiled(expression: str) -> tuple[TemplateExpression, frozenset[str]]:
    """Return EXPRESSION, and the names of the variables that it uses."""
    if len(expression) > _MAX_EXPRESSION:
        raise TemplateError(f"it has more than {_MAX_EXPRESSION:,} characters")
    compiled = environment().compile_expression(expression, undefined_to_none=False)
    tree = Parser(environment(), expression, state="variable").parse_expression()
    names = {node.name for node in (tree, *tree.find_all(nodes.Name)) if type(node) is nodes.Name}
    if not names and not _is_escape(tree):
        raise NoVariable(expression)
    return compiled, frozenset(names)


def _is_escape(tree: nodes.Expr) -> bool:
    """Tell whether an expression is one text with a brace in it, which has no other way in."""
    if not (isinstance(tree, nodes.Const) and isinstance(tree.value, str)):
        return False
    return "{" in tree.value or "}" in tree.value


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of EXPRESSION; raises one of FAILURES."""
    compiled, names = _compiled(expression)
    return plain(compiled({name: variables[name] for name in names if name in variables}))


def plain(value: Any) -> Any:
    """Return VALUE, when it is of text, numbers, true, false, null, lists and maps of them."""
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
    """Return the variable that an expression misses, when ERROR says so."""
    found = re.match(r"'(\w+)' is undefined$", str(error))
    return found[1] if found and isinstance(error, UndefinedError) else None


def explained(error: BaseException) -> tuple[str, str]:
    """Tell what ERROR, one of FAILURES, says about an expression, and the way out where there is
    one."""
    said = (error.message if isinstance(error, TemplateError) else str(error)) or ""
    if isinstance(error, RecursionError | MemoryError | SyntaxError):
        return "it is nested too deeply", "write less into one expression"
    if isinstance(error, NameError):  # Jinja writes 1e999 as inf into the code that it makes
        return "a number in it is too large", ""
    if found := re.match(r"No (filter|test) named '(.*)'", said):
        known = sorted(environment().filters) if found[1] == "filter" else sorted(_TESTS)
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
