"""JSON of strangers: an object has no key twice, a number is one, and no depth ends the program."""

from __future__ import annotations

import json
from typing import Any

from krunc_compiler.findings.finding import Finding, Rejected, Source, Span, reject

_MOST_DIGITS = 20


def value_of(name: str, text: str, code: str, what: str) -> Any:
    """Return the value of TEXT, from the file NAME, which should be WHAT.

    Raises Rejected with a finding of CODE when it is no JSON, or not all of it is read as it
    stands.
    """
    try:
        return json.loads(
            text, object_pairs_hook=once, parse_int=_integer, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        line, column = error.lineno - 1, error.colno - 1
        span = Span(line, column, line, column + 1)
        found = Finding(code, f"this is not JSON: {error.msg}", span=span)
    except ValueError as error:
        found = Finding(code, f"this is not {what}: {error}")
    except RecursionError:
        found = Finding(code, f"this is not {what}: it is nested too deeply")
    raise reject(Source(name, text, {}), [found])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of PAIRS. Raises ValueError when a key stands twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a duplicate key in one object")
    return result


def _integer(text: str) -> int:
    # Before it is a number: Python takes long for one of a million digits, or refuses it.
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits; allowed: {_MOST_DIGITS}")
    return int(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def source_of(name: str, text: str) -> Source:
    """Return TEXT, of the file NAME, with the places in it. There are none in a text that is too
    large, or JSON but no YAML, as with tabs in front of its lines."""
    # Most JSON is YAML, so the places come from the same parser.
    from krunc_compiler.text.parsing import parse

    try:
        return parse(name, text)[1]
    except Rejected:
        return Source(name, text, {})
