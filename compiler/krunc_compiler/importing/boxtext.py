"""The value of a box as YAML that a person goes on with."""

from __future__ import annotations

import json
import re
from typing import Any

from krunc_compiler.findings.report import printable
from krunc_compiler.text.scalars import NoNumber, scalar
from krunc_compiler.values.braces import literal

_WIDTH = 96
_PLAIN = re.compile(r"(?!---|\.\.\.)(?:[A-Za-z0-9_./+]|-(?=[A-Za-z0-9_./-]))[A-Za-z0-9_./@+=%:-]*")
_NOT_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def to_yaml(value: dict[str, Any], notes: list[str], title: str) -> str:
    """Return VALUE with TITLE and NOTES as comments above it; each text stays exactly what it
    is."""
    lines = [f"# {printable(title)}"]
    if notes:
        lines += ["#", "# What the box does not hold, or holds otherwise:"]
        lines += [f"# - {printable(note)}" for note in notes]
    for key, item in value.items():
        lines += _entry(key, item, 0)
    return "\n".join(lines) + "\n"


def _entry(key: str, item: Any, depth: int) -> list[str]:
    start = "  " * depth + f"{_text(key)}:"
    short = f"{start} {_flow(item)}"
    if not isinstance(item, dict | list) or not item or (depth and len(short) <= _WIDTH):
        return [short]
    if isinstance(item, dict):
        if len(short) <= _WIDTH and not any(isinstance(one, dict | list) for one in item.values()):
            return [short]
        return [
            start,
            *(line for name, one in item.items() for line in _entry(name, one, depth + 1)),
        ]
    return [start, *("  " * (depth + 1) + f"- {_flow(one)}" for one in item)]


def _flow(item: Any) -> str:
    if isinstance(item, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(one)}" for key, one in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(_flow, item)) + "]"
    if isinstance(item, str):
        return _text(literal(item))
    return json.dumps(item)


def _is_word(text: str) -> bool:
    try:
        return bool(scalar(text) == text)
    except NoNumber:
        return False


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not text.endswith(":") and _is_word(text):
        return text
    # A JSON string is a YAML one but for the characters that YAML wants escaped.
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
