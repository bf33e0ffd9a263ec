"""Short, plain YAML to values and places by libyaml's own composer, in half of the time.

It gives up on whatever needs a finding, or more care: its partner parsing then tells, event by
event. tests/text/test_composing.py holds the two equal.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from krunc_compiler.findings.finding import Path, Place, Span
from krunc_compiler.text.libyaml import CParser, YAMLError, nodes
from krunc_compiler.text.scalars import NoNumber, scalar
from krunc_compiler.text.yaml_errors import MAX_DEPTH

# The composer descends by recursion in C, and crashes at some 30,000 levels; a level takes a
# character or more.
_MOST_CHARACTERS = 8192
# Anchors, aliases, tags and merge keys, wherever they stand.
_ODD = ("&", "*", "!", "<<")


# Most are keys, or words that stand in many boxes; none is longer than a text that is read here.
_scalar = lru_cache(1024)(scalar)
_Scalar, _Sequence = nodes.ScalarNode, nodes.SequenceNode


class _Odd(Exception):
    """This is not plain."""


class Places(Mapping[Path, Place]):
    """The places of composed nodes, worked out when they are asked for: of a box that is right,
    few are."""

    def __init__(self, root: nodes.Node) -> None:
        self._root = root
        self._all: dict[Path, Place] | None = None

    def __getitem__(self, path: Path) -> Place:
        key, node = None, self._root
        for part in path:
            key, node = _child(node, part)
        return Place(_span(node), key)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def __reduce__(self) -> tuple[type, tuple[dict[Path, Place]]]:
        return dict, (self._whole(),)

    def _whole(self) -> dict[Path, Place]:
        if self._all is None:
            self._all = dict(_places(self._root, (), None))
        return self._all


def composed(text: str) -> tuple[Any, Places] | None:
    """Return the value of TEXT and the places in it, or None when it is long, odd, or wrong."""
    if _Loader is None or len(text) > _MOST_CHARACTERS or any(mark in text for mark in _ODD):
        return None
    try:
        node = _Loader(text).get_single_node()
        return None if node is None else (_value(node, 0), Places(node))
    except (YAMLError, NoNumber, _Odd):
        return None


def _value(node: nodes.Node, depth: int) -> Any:
    if type(node) is _Scalar:
        return node.value if node.style else _scalar(node.value)
    if depth >= MAX_DEPTH:  # what is inside is too deep, if anything is
        raise _Odd
    if type(node) is _Sequence:
        return [_value(item, depth + 1) for item in node.value]
    result = {}
    for named, item in node.value:
        if type(named) is not _Scalar:
            raise _Odd
        name = named.value if named.style else _scalar(named.value)
        if type(name) is not str or name in result:
            raise _Odd
        if type(item) is _Scalar:  # as most are: without a call
            result[name] = item.value if item.style else _scalar(item.value)
        else:
            result[name] = _value(item, depth + 1)
    return result


def _child(node: nodes.Node, part: str | int) -> tuple[Span | None, nodes.Node]:
    """Tell what PART of NODE is called in the text, if it has a name, and its node; or a
    KeyError."""
    if isinstance(node, _Sequence) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    if isinstance(node, nodes.MappingNode):
        for named, item in node.value:
            if named.value == part:
                return _span(named), item
    raise KeyError(part)


def _places(node: nodes.Node, path: Path, key: Span | None) -> Iterator[tuple[Path, Place]]:
    yield path, Place(_span(node), key)
    if isinstance(node, _Sequence):
        for i, item in enumerate(node.value):
            yield from _places(item, (*path, i), None)
    elif isinstance(node, nodes.MappingNode):
        for named, item in node.value:
            yield from _places(item, (*path, named.value), _span(named))


def _span(node: nodes.Node) -> Span:
    start, end = node.start_mark, node.end_mark
    return Span(start.line, start.column, end.line, end.column)


def _loader() -> Any:
    if CParser is None:
        return None

    class Loader(CParser):  # type: ignore[misc]
        """Nodes as they are written: their tags are not looked up, which takes Python's time."""

        def resolve(self, kind: object, value: object, implicit: object) -> str:
            return ""

        # These are called for each node, for their effect: functions of C that have none.
        descend_resolver = operator.is_
        ascend_resolver = tuple

    return Loader


_Loader = _loader()
