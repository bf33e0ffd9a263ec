"""{{ }} expressions inside the strings of a box; sandboxed Jinja2, nothing undefined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from krunc_compiler import wording
from krunc_compiler.findings import Finding, Path, Source, Span

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


def has_expressions(value: Any) -> bool:
    """Whether any string of VALUE holds an expression."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, list):
        return any(has_expressions(item) for item in value)
    if isinstance(value, dict):
        return any(has_expressions(item) for item in value.values())
    return False


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
    if not has_expressions(value):
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
    from krunc_compiler.expressions import FAILURES, evaluate, plain, segments, undefined

    count = 0
    parts: list[Any] = []
    try:
        for is_expression, part in segments(text):
            count += is_expression
            parts.append(plain(evaluate(part, scope.variables)) if is_expression else part)
    except FAILURES as error:
        scope.broken.add(path)
        missing = undefined(error)
        if missing not in scope.absent:
            scope.findings.append(_failed(error, missing, path, max(count, 1), scope))
        return text
    result = parts[0] if len(parts) == 1 and count else "".join(map(str, parts))
    if isinstance(result, str) and len(result) > MAX_TEXT:
        scope.broken.add(path)
        scope.findings.append(
            Finding(
                "KR020",
                "the expression's result is too long",
                path,
                hint=f"at most {MAX_TEXT:,} characters",
            )
        )
        return text
    return result


def _failed(
    error: BaseException, missing: str | None, path: Path, count: int, scope: _Scope
) -> Finding:
    known = ", ".join(scope.variables) or "none"
    hint = f"variables: {known}; they are declared under vars"
    if missing is not None:
        close = wording.nearest(missing, scope.variables)
        hint = f"did you mean {close}? {hint}" if close else hint
    said = str(error) or type(error).__name__
    if isinstance(error, RecursionError | MemoryError | SyntaxError):
        said = "it is nested too deeply"
    return Finding(
        "KR020",
        f"the expression fails: {said}",
        path,
        hint=hint,
        span=_span(scope.source, path, count, missing),
    )


def _span(source: Source, path: Path, count: int, word: str | None) -> Span | None:
    """Where the COUNTth expression of the value at PATH stands in the source, or WORD in it."""
    place = source.places.get(path)
    if place is None:
        return None
    lines = (place.source or source).text.split("\n")
    start, end = place.value[:2], place.value[2:]
    if end[0] >= len(lines):
        return None
    opened = [
        (line, match.start())
        for line in range(start[0], end[0] + 1)
        for match in re.finditer(r"\{[{%#]", lines[line])
        if start <= (line, match.start()) < end
    ]
    if len(opened) < count:
        return None
    line, column = opened[count - 1]
    text = lines[line]
    closed = text.find("}}", column)
    last = closed + 2 if closed >= 0 else len(text.rstrip())
    if end[0] == line:
        last = min(last, end[1])
    if word is not None:
        found = re.search(rf"\b{re.escape(word)}\b", text[column:last])
        if found:
            return Span(line, column + found.start(), line, column + found.end())
    return Span(line, column, line, last)
