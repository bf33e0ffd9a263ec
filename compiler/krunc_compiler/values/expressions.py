"""One {{ expression }}: evaluated in a sandbox, made a plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from krunc_compiler.findings.wording import nearest
from krunc_compiler.values import filters
from krunc_compiler.values.filters import FILTERS, TESTS, Misused, as_text, size, small
from krunc_compiler.values.work import Work

# What a text may be that ~ or + makes; a result is no longer.
_MAX_MADE = 100_000
_MAX_NUMBER = 1 << 64
_MAX_EXPRESSION = 1_000
# An escape makes one, or a command line that is not UTF-8.
_HALF = re.compile("[\ud800-\udfff]")
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
    """Joins texts with ~ as strings with expressions are joined, and weighs what a comparison or a
    cut looks at."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(")
        self._weighed(node.expr, frame)
        for operand in node.ops:
            self.write(f" {operators[operand.op]} ")
            self._weighed(operand.expr, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self._weighed(node.node, frame)
        self.write("[")
        self.visit(node.arg, frame)
        self.write("]")

    def visit_Slice(self, node: nodes.Slice, frame: Frame) -> None:
        for i, part in enumerate((node.start, node.stop, node.step)):
            self.write(":" * (i > 0))
            if part is not None:
                self.write("environment.known(")
                self.visit(part, frame)
                self.write(")")

    def _weighed(self, node: nodes.Node, frame: Frame) -> None:
        self.write("environment.weighed(")
        self.visit(node, frame)
        self.write(")")


class _Bounded(SandboxedEnvironment):
    """The sandbox does not stop 'x' * 10**9 or 9 ** 9 ** 9; this one does."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "+", "-", "%", "/", "//"})
    # That of the file which is compiled.
    work = Work()

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) for side in (left, right) if hasattr(side, "__len__")]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if operator == "*" and any(isinstance(side, list | tuple) for side in (left, right)):
            raise SecurityError("a list cannot be multiplied")
        if operator == "*" and sizes and numbers and sizes[0] * numbers[0] > filters.MAX_TEXT:
            raise SecurityError("the result would be too long")
        if operator == "**" and (max(numbers, default=0) > 10_000 or numbers[-1:] > [64]):
            raise SecurityError("the number would be too large")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("use ~ to join strings instead of the % operator")
        self.weighed((left, right))
        if sum(sizes) > _MAX_MADE:
            raise SecurityError("the result would be too long")
        result = super().call_binop(context, operator, left, right)
        return result if isinstance(result, str) else small(result)

    def call(*_: Any, **__: Any) -> Any:
        """Return no calls at all: a method such as ljust makes texts without end."""
        raise SecurityError("nothing is called here; use a filter, as in {{ name | lower }}")

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise what was raised: nobody reads a traceback of the template, which takes long to
        make."""
        raise

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the item of OBJ that ARGUMENT names."""
        return super().getitem(obj, self.known(argument))

    def known(self, value: Any) -> Any:
        """Return VALUE; raises UndefinedError, which names the variable that it misses."""
        if isinstance(value, StrictUndefined):
            str(value)
        return value

    def joined(self, parts: tuple[Any, ...]) -> str:
        """Tell what ~ makes."""
        self.weighed(parts)
        texts = list(map(as_text, parts))
        if sum(map(len, texts)) > _MAX_MADE:
            raise SecurityError("the result would be too long")
        return "".join(texts)

    def weighed(self, value: Any) -> Any:
        """Return VALUE, all of which is looked at."""
        self.work.weigh(value)
        return value


@cache
def environment() -> _Bounded:
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
    taken = filters.made(made.filters)
    made.filters = {
        name: filters.bounded(name, function, f"it takes {FILTERS[name]}", lambda: made.work)
        for name, function in taken.items()
    }
    tests: dict[str, Any] = dict(made.tests)
    made.tests = {name: filters.bounded(name, tests[name], "", lambda: made.work) for name in TESTS}
    return made


@lru_cache(4096)
def _compiled(expression: str) -> tuple[TemplateExpression, frozenset[str]]:
    """Return EXPRESSION, and the names of the variables that it uses."""
    if len(expression) > _MAX_EXPRESSION:
        raise TemplateError(f"it has more than {_MAX_EXPRESSION:,} characters")
    parser = Parser(environment(), expression, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateError("chunk after expression")
    names = {node.name for node in (tree, *tree.find_all(nodes.Name)) if type(node) is nodes.Name}
    if not names and not _is_escape(tree):
        raise NoVariable(expression)
    # As Environment.compile_expression, which would read it once more.
    tree.set_environment(environment())
    result = nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)
    template = environment().from_string(nodes.Template([result], lineno=1))
    return TemplateExpression(template, undefined_to_none=False), frozenset(names)


def _is_escape(tree: nodes.Expr) -> bool:
    """Tell whether an expression is one text with a brace in it, which has no other way in."""
    if not (isinstance(tree, nodes.Const) and isinstance(tree.value, str)):
        return False
    return "{" in tree.value or "}" in tree.value


def evaluate(expression: str, variables: Mapping[str, Any], work: Work) -> Any:
    """Return the value of EXPRESSION, whose cost is taken from WORK; raises one of FAILURES."""
    work.read(expression)
    environment().work = work
    compiled, names = _compiled(expression)
    value = compiled({name: variables[name] for name in names if name in variables})
    work.weigh(value)
    if size(value) > _MAX_MADE:
        raise SecurityError("the result would be too long")
    return plain(value)


def plain(value: Any) -> Any:
    """Return VALUE, when it is of text, numbers, true, false, null, lists and maps of them."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError, which names the variable
    if isinstance(value, str):
        if found := _HALF.search(value):
            raise ValueError(f"its result has U+{ord(found[0]):04X}, which is not a character")
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
    raise TypeError("its result is not a plain value")


def undefined(error: BaseException) -> str | None:
    """Return the variable that an expression misses, when ERROR says so."""
    found = re.match(r"'(\w+)' is undefined$", str(error))
    return found[1] if found and isinstance(error, UndefinedError) else None


def explained(error: BaseException) -> tuple[str, str]:
    """Tell what ERROR, one of FAILURES, says about an expression, and the way out where there is
    one."""
    if isinstance(error, Misused):
        return error.message or "", error.way_out
    said = (error.message if isinstance(error, TemplateError) else str(error)) or ""
    if isinstance(error, RecursionError | MemoryError | SyntaxError):
        return "it is nested too deeply", "write less into one expression"
    # Jinja writes 1e999 as inf into the code that it makes.
    if isinstance(error, NameError | OverflowError):
        return "a number in it is too large", ""
    if found := re.match(r"No (filter|test) named '(.*)'", said):
        known = sorted(FILTERS if found[1] == "filter" else TESTS)
        close = nearest(found[2], known)
        guess = f"did you mean {close}? " if close else ""
        return f"there is no {found[1]} {found[2]!r}", f"{guess}{found[1]}s: {', '.join(known)}"
    if "end of template" in said:
        return "it ends too early", "write what is missing before the }}"
    if said == "its }} is missing":
        return said, "write it behind the expression"
    if said == "chunk after expression":
        return "there is more after its end", "join strings with ~, as in {{ name ~ '-' ~ n }}"
    if "unexpected char" in said:
        return said.rpartition(" at ")[0], "put strings in quotes"
    if found := re.match(r"'?(\w+?)(?: object)?'? has no (?:attribute|element) (.+)$", said):
        return f"{_KINDS.get(found[1], 'that value')} has no {found[2]}", ""
    if isinstance(error, TypeError | AttributeError | LookupError):
        return _plainly(said)
    return said or "it has no value", ""


# How Python says that an operator does not take two values.
_OPERANDS = (
    re.compile(r"'(?P<op>[^']+)' not supported between instances of '(?P<a>\w+)' and '(?P<b>\w+)'"),
    re.compile(r"unsupported operand type\(s\) for (?P<op>\S+).*: '(?P<a>\w+)' and '(?P<b>\w+)'"),
    re.compile(r"can only concatenate (?P<a>\w+) \(not \"(?P<b>\w+)\"\) to (?P<op>\w+)"),
)
_KINDS = {
    "str": "a string", "int": "a number", "float": "a number", "list": "a list", "tuple": "a list",
    "dict": "a map", "bool": "true or false", "NoneType": "null", "None": "null",
}  # fmt: skip


def _plainly(said: str) -> tuple[str, str]:
    """Return what Python SAID of values that do not go together, in a box's words."""
    way_out = "join strings and numbers with ~, and make numbers of strings with | int"
    for pattern in _OPERANDS:
        if found := pattern.match(said):
            sign = found["op"] if found["op"] not in _KINDS else "+"
            sides = " and ".join(_KINDS.get(found[side], "that value") for side in "ab")
            return f"{sign} does not take {sides}", way_out
    return "it does something with a value that this kind of value does not have", way_out
