"""{{ }} expressions inside the strings of a box; sandboxed Jinja2, nothing undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Path, Source, Span

# A rendered string longer than this is a mistake or an attack.
MAX_TEXT = 100_000
# These say what the expressions may use; they hold no expressions.
LITERAL = ("vars", "matrix", "extends", "allow")


class Rendered(NamedTuple):
    """A value without expressions; `broken` are the places whose expression failed."""

    value: Any
    findings: list[Finding]
    broken: frozenset[Path]


class _Scope(NamedTuple):
    source: Source
    variables: Mapping[str, Any]
    absent: frozenset[str]
    findings: list[Finding]
    broken: set[Path]


def has_expressions(text: str) -> bool:
    """Whether TEXT holds an expression."""
    return "{{" in text or "{%" in text or "{#" in text


def render(
    value: Any,
    variables: Mapping[str, Any],
    source: Source,
    absent: frozenset[str] = frozenset(),
) -> Rendered:
    """VALUE with its expressions evaluated, and what is wrong with them.

    A string that is one whole expression takes the expression's type. An expression that fails
    for want of an ABSENT variable, about which there is a finding already, is only broken.
    """
    # Python writes a brace of a map before a quote or another brace that closes: what looks like
    # an expression is one, or stands in a key, which the walk leaves as it is.
    if not has_expressions(repr(value)):
        return Rendered(value, [], frozenset())
    scope = _Scope(source, variables, absent, [], set())
    result = _walk(value, (), scope)
    return Rendered(result, scope.findings, frozenset(scope.broken))


def _walk(value: Any, path: Path, scope: _Scope) -> Any:
    if isinstance(value, dict):
        return {
            key: item if not path and key in LITERAL else _walk(item, (*path, key), scope)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_walk(item, (*path, i), scope) for i, item in enumerate(value)]
    if isinstance(value, str) and has_expressions(value):
        return _string(value, path, scope)
    return value


def _string(text: str, path: Path, scope: _Scope) -> Any:
    """TEXT evaluated; TEXT itself when that fails."""
    # Jinja2 is imported only for a box that has expressions.
    from krunc_compiler.values.expressions import FAILURES, as_text, evaluate, segments

    try:
        pieces = list(segments(text))
    except FAILURES as error:
        return _failed(error, text, path, None, scope)
    whole = len(pieces) == 1
    parts: list[Any] = []
    number = 0
    for is_expression, part in pieces:
        number += is_expression
        try:
            value = evaluate(part, scope.variables) if is_expression else part
            parts.append(value if whole else as_text(value))
        except FAILURES as error:
            _failed(error, text, path, number, scope)
    if path in scope.broken:
        return text
    result = parts[0] if whole else "".join(parts)
    if isinstance(result, str) and len(result) > MAX_TEXT:
        scope.broken.add(path)
        message, most = "the expression's result is too long", f"at most {MAX_TEXT:,} characters"
        scope.findings.append(Finding("KR020", message, path, hint=most))
        return text
    return result


def _failed(error: BaseException, text: str, path: Path, number: int | None, scope: _Scope) -> str:
    """Note the failure of the NUMBERth expression of TEXT, or that it has none; return TEXT."""
    from krunc_compiler.values.expressions import explained, undefined

    scope.broken.add(path)
    missing = undefined(error)
    said, hint = explained(error)
    if missing is not None:
        close = wording.nearest(missing, scope.variables)
        guess = f"did you mean {close}? " if close else ""
        known = ", ".join(scope.variables) or "none"
        hint = f"{guess}variables: {known}; they are declared under vars"
    if missing not in scope.absent:
        message = f"the expression fails: {said}"
        span = _span(scope.source, path, number, missing)
        scope.findings.append(Finding("KR020", message, path, hint=hint, span=span))
    return text


def _span(source: Source, path: Path, number: int | None, word: str | None) -> Span | None:
    """Where the NUMBERth expression of the value at PATH stands in the source, or WORD in it."""
    from krunc_compiler.text.characters import characters
    from krunc_compiler.values.expressions import place

    written = source.places.get(path)
    if written is None:
        return None
    scalar = characters((written.source or source).text, written.value)
    found = place(scalar.text, number, word)
    return scalar.span(*found) if found else None
