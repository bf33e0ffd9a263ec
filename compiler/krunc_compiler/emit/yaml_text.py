"""Values as YAML, in the block style that people write.

A string that is more than a plain word is quoted as in JSON, of which YAML is a superset, or, where
it has several lines of printable characters, stands as a block. PyYAML's own writers take a third
of what krunc emit takes for thousands of plans. tests/emit/test_yaml_text.py reads everything back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# Words that no YAML takes for anything else than a string: what starts with a digit may be a number
# or a date, and in YAML 1.1 some letters are truth values.
_PLAIN = re.compile(
    r"-{0,2}[A-Za-z/](?:[A-Za-z0-9_./()$@+=-]|:(?=[A-Za-z0-9/]))*"
    r"|[0-9]+Mi|[0-9]+\.(?:digest|plan\.json)"
)
_VALUES = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_TRUTH = {True: "true", False: "false"}
# A text of several lines as it stands: the first is not indented, nor is there an empty one at an
# end. Other ends of lines than \n would be read as such.
_BLOCK = re.compile(r"[!-~][ -~\n]*[ -~]\n")
# What JSON leaves as it is and YAML does not take, or takes for the end of a line.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def to_yaml(value: Mapping[str, Any]) -> str:
    """Return VALUE, of maps, lists, strings, numbers, truth values and None, as a document. YAML
    takes no key of more than 1,024 characters."""
    lines: list[str] = []
    _map(value, "", lines)
    return "\n".join(lines) + "\n"


def _map(value: Mapping[str, Any], indent: str, lines: list[str]) -> None:
    for key, item in value.items():
        name = f"{indent}{_string(key)}:"
        if item.__class__ is str and "\n" not in item:  # most are: a call for each would double it
            lines.append(f"{name} {_string(item)}")
        else:
            _named(name, item, indent, lines)


def _named(name: str, item: Any, indent: str, lines: list[str]) -> None:
    """Add the LINES of an ITEM behind its NAME, which is at INDENT."""
    if isinstance(item, str):
        if "\n" in item and _BLOCK.fullmatch(item):
            inner = f"\n{indent}  "
            lines.append(f"{name} |{inner}{item[:-1].replace(chr(10), inner)}")
        else:
            lines.append(f"{name} {_string(item)}")
    elif isinstance(item, dict) and item:
        lines.append(name)
        _map(item, f"{indent}  ", lines)
    elif isinstance(item, list) and item:
        lines.append(name)
        _list(item, indent, lines)
    else:
        known = _TRUTH.get(item) if item.__class__ is bool else None
        lines.append(f"{name} {known or json.dumps(item)}")


def _list(items: list[Any], indent: str, lines: list[str]) -> None:
    for item in items:
        if isinstance(item, dict) and item:
            first = len(lines)
            _map(item, f"{indent}  ", lines)
            lines[first] = f"{indent}- {lines[first][len(indent) + 2 :]}"
        else:
            _named(f"{indent}-", item, f"{indent}  ", lines)


@lru_cache(1024)
def _string(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _VALUES:
        return text
    return _UNSEEN.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
