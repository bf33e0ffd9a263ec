"""Short, plain YAML to values and places by libyaml's own composer, in half of the time.

It gives up on whatever needs a finding, or more care: parsing then tells, event by event. Both
agree: tests/test_composing.py.
"""

from __future__ import annotations

from typing import Any

import yaml

from krunc_compiler.findings import Path, Place, Span
from krunc_compiler.scalars import NotFinite, scalar
from krunc_compiler.syntax import MAX_DEPTH

# The composer descends by recursion in C, and crashes at some 30,000 levels; a level takes a
# character or more.
_MOST_CHARACTERS = 8192
# Anchors, aliases, tags and merge keys, wherever they stand.
_ODD = ("&", "*", "!", "<<")


class _Odd(Exception):
    """This is not plain."""


def composed(text: str) -> tuple[Any, dict[Path, Place]] | None:
    """The value of TEXT and the places in it, or None when it is long, odd, or wrong."""
    if _Loader is None or len(text) > _MOST_CHARACTERS or any(mark in text for mark in _ODD):
        return None
    places: dict[Path, Place] = {}
    try:
        node = _Loader(text).get_single_node()
        return None if node is None else (_value(node, (), places, None, 0), places)
    except (yaml.YAMLError, NotFinite, _Odd):
        return None


def _value(
    node: yaml.Node, path: Path, places: dict[Path, Place], key: Span | None, depth: int
) -> Any:
    if depth > MAX_DEPTH:
        raise _Odd
    places[path] = Place(_span(node), key)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*path, i), places, None, depth + 1) for i, item in enumerate(node.value)
        ]
    result = {}
    for named, item in node.value:
        name = _scalar(named) if isinstance(named, yaml.ScalarNode) else None
        if not isinstance(name, str) or name in result:
            raise _Odd
        result[name] = _value(item, (*path, name), places, _span(named), depth + 1)
    return result


def _scalar(node: yaml.ScalarNode) -> Any:
    return node.value if node.style else scalar(node.value)


def _span(node: yaml.Node) -> Span:
    start, end = node.start_mark, node.end_mark
    return Span(start.line, start.column, end.line, end.column)


def _loader() -> Any:
    try:
        base = yaml.CBaseLoader
    except AttributeError:  # PyYAML was built without libyaml
        return None

    class Loader(base):  # type: ignore[misc, valid-type]
        """Nodes as they are written: their tags are not looked up, which takes Python's time."""

        def resolve(self, kind: object, value: object, implicit: object) -> str:
            return ""

    return Loader


_Loader = _loader()
