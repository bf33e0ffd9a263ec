"""{{ }} expressions inside the strings of a box; sandboxed Jinja2, nothing undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from krunc_compiler.findings import Finding, Path

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

# A rendered string longer than this is a mistake or an attack.
MAX_TEXT = 100_000
_MAX_NUMBER = 1 << 64


def has_expressions(value: Any) -> bool:
    """Whether any string of VALUE holds an expression."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, list):
        return any(has_expressions(item) for item in value)
    if isinstance(value, dict):
        return any(has_expressions(item) for item in value.values())
    return False


def render(value: Any, variables: Mapping[str, Any]) -> tuple[Any, list[Finding]]:
    """VALUE with its expressions evaluated, and what is wrong with them.

    A string that is one whole expression takes the expression's type.
    """
    if not has_expressions(value):
        return value, []
    findings: list[Finding] = []
    return _walk(value, (), _environment(), variables, findings), findings


def _walk(
    value: Any,
    path: Path,
    environment: SandboxedEnvironment,
    variables: Mapping[str, Any],
    findings: list[Finding],
) -> Any:
    if isinstance(value, dict):
        return {
            key: item
            if not path and key == "vars"
            else _walk(item, (*path, key), environment, variables, findings)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _walk(item, (*path, i), environment, variables, findings)
            for i, item in enumerate(value)
        ]
    if isinstance(value, str) and has_expressions(value):
        return _evaluate(value, path, environment, variables, findings)
    return value


def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import SandboxedEnvironment

    class Bounded(SandboxedEnvironment):
        """The sandbox does not stop 'x' * 10**9 or 9 ** 9 ** 9; this one does."""

        intercepted_binops = frozenset({"*", "**", "+", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            sizes = [len(side) for side in (left, right) if hasattr(side, "__len__")]
            numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
            if operator == "*" and sizes and numbers and sizes[0] * numbers[0] > MAX_TEXT:
                raise SecurityError("the result would be too long")
            if operator == "**" and (max(numbers, default=0) > 10_000 or numbers[-1:] > [64]):
                raise SecurityError("the number would be too large")
            if operator == "%" and isinstance(left, str):
                raise SecurityError("use ~ to join texts instead of the % operator")
            return super().call_binop(context, operator, left, right)

    environment = Bounded(undefined=StrictUndefined, keep_trailing_newline=True)
    # No loops and no calls that make endless things: an expression is a value.
    environment.globals.clear()
    for name in ("format", "xmlattr", "urlize", "pprint", "random", "center", "indent", "wordwrap"):
        environment.filters.pop(name, None)
    return environment


def _evaluate(
    text: str,
    path: Path,
    environment: SandboxedEnvironment,
    variables: Mapping[str, Any],
    findings: list[Finding],
) -> Any:
    from jinja2 import TemplateError, nodes

    try:
        tree = environment.parse(text)
        parts = [
            part
            for output in tree.body
            if isinstance(output, nodes.Output)
            for part in output.nodes
        ]
        if any(not isinstance(output, nodes.Output) for output in tree.body) or (
            "{#" in text and not parts
        ):
            raise _refused("only {{ expressions }} may stand in a box, no {% statements %}")
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            inner = text.strip()[2:-2].strip("-+")
            result = environment.compile_expression(inner, undefined_to_none=False)(**variables)
            if environment.undefined in type(result).__mro__:
                str(result)  # StrictUndefined raises here and names the variable
        else:
            result = environment.from_string(text).render(**variables)
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        known = ", ".join(variables) or "none"
        findings.append(
            Finding(
                "KR020",
                f"the expression fails: {error}",
                path,
                hint=f"variables: {known}; they are declared under vars",
            )
        )
        return text
    if isinstance(result, str) and len(result) > MAX_TEXT:
        findings.append(Finding("KR020", "the expression's result is too long", path))
        return text
    if isinstance(result, float | int) and abs(result) > _MAX_NUMBER:
        findings.append(Finding("KR020", "the expression's result is too large", path))
        return text
    return result


def _refused(message: str) -> Exception:
    from jinja2 import TemplateError

    return TemplateError(message)
