"""{{ }} expressions inside the strings of a box; sandboxed Jinja2, nothing undefined."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Path, Source, Span
from krunc_compiler.values.braces import ESCAPE, as_it_stands, has_expressions
from krunc_compiler.values.work import TooMuchWork, Work

# A rendered string longer than this is a mistake or an attack.
MAX_TEXT = 100_000
# No plan holds more than that: the results together, and each may be used often.
MAX_ALL = 1 << 20
# Each is compiled; far above any real box.
MAX_EXPRESSIONS = 2_000
_MOST_TOLD = 100
_NAMES = 20
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
    # How many characters the results have, and how many expressions there were.
    met: list[int]
    work: Work


def render(
    value: Any,
    variables: Mapping[str, Any],
    source: Source,
    absent: frozenset[str] = frozenset(),
    work: Work | None = None,
) -> Rendered:
    """Return VALUE with its expressions evaluated, and what is wrong with them; what that costs is
    taken from WORK.

    A string that is one whole expression takes the expression's type. An expression that fails
    for want of an ABSENT variable, about which there is a finding already, is only broken.
    """
    scope = _Scope(source, variables, absent, [], set(), [0, 0], work or Work())
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
    """Return TEXT evaluated; TEXT itself when that fails."""
    if scope.met[0] > MAX_ALL or scope.met[1] > MAX_EXPRESSIONS or scope.work.left < 0:
        scope.broken.add(path)  # which was told
        return text
    scope.met[1] += text.count("{{")
    if scope.met[1] > MAX_EXPRESSIONS:
        message = f"up to here there are more than {MAX_EXPRESSIONS:,} expressions"
        return _too_many(text, path, Finding("KR020", message, path, hint=ESCAPE), scope)
    # Jinja2 is imported only for a box that has expressions.
    from krunc_compiler.values.expressions import FAILURES, evaluate
    from krunc_compiler.values.filters import as_text, size
    from krunc_compiler.values.segments import segments

    try:
        pieces = segments(text)
    except FAILURES as error:
        return _failed(error, text, path, (None, ""), scope)
    whole = len(pieces) == 1
    parts: list[Any] = []
    number = 0
    for is_expression, part in pieces:
        number += is_expression
        try:
            value = evaluate(part, scope.variables, scope.work) if is_expression else part
            parts.append(value if whole else as_text(value))
        except FAILURES as error:
            _failed(error, text, path, (number, part), scope)
        except TooMuchWork:
            message = "up to here, the expressions of this file take too long together"
            hint = "let each do less, or write the values as they are"
            return _too_many(text, path, Finding("KR020", message, path, hint=hint), scope)
    if path in scope.broken:
        return text
    result = parts[0] if whole else "".join(parts)
    if isinstance(result, str) and len(result) > MAX_TEXT:
        scope.broken.add(path)
        message, most = (
            "the expression's result is too long",
            f"write at most {MAX_TEXT:,} characters",
        )
        scope.findings.append(Finding("KR020", message, path, hint=most))
        return text
    scope.met[0] += size(result)
    if scope.met[0] > MAX_ALL:
        message = f"up to here, expressions make more than {MAX_ALL:,} characters; a plan has fewer"
        hint = "put what is long into a file of the root or of a share"
        return _too_many(text, path, Finding("KR220", message, path, hint=hint), scope)
    return result


def _too_many(text: str, path: Path, finding: Finding, scope: _Scope) -> str:
    scope.broken.add(path)
    scope.findings.append(finding)
    return text


def _failed(
    error: BaseException, text: str, path: Path, of: tuple[int | None, str], scope: _Scope
) -> str:
    """Note the failure of an expression OF the TEXT, its number and its text, or that TEXT has
    none; return TEXT."""
    from krunc_compiler.values.expressions import NoVariable, explained, undefined

    scope.broken.add(path)
    number, expression = of
    way_out = ESCAPE if number is None else as_it_stands(expression)
    missing = undefined(error)
    if missing in scope.absent or len(scope.findings) > _MOST_TOLD:
        return text
    if isinstance(error, NoVariable):
        code, message, hint = "KR025", "the expression uses no variable", "write its value"
    else:
        code = "KR020"
        said, hint = explained(error)
        message = f"the expression fails: {said}"
    if missing is not None:
        close = wording.nearest(missing, scope.variables)
        guess = f"did you mean {close}? " if close else ""
        hint = f"{guess}use a variable that vars declares: {_known(scope)}"
    hint = f"{hint}; {way_out}" if hint else way_out
    span = _span(scope.source, path, number, missing)
    scope.findings.append(Finding(code, message, path, hint=hint, span=span))
    return text


def _known(scope: _Scope) -> str:
    names = list(scope.variables)
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return (", ".join(names[:_NAMES]) or "none") + more


def _span(source: Source, path: Path, number: int | None, word: str | None) -> Span | None:
    """Tell where the NUMBERth expression of the value at PATH stands in the source, or WORD in
    it."""
    from krunc_compiler.text.characters import characters
    from krunc_compiler.values.segments import place

    written = source.places.get(path)
    if written is None:
        return None
    scalar = characters((written.source or source).text, written.value)
    found = place(scalar.text, number, word)
    return scalar.span(*found) if found else None
