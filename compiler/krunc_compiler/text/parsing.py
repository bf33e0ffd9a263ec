"""YAML text to plain values and their places, event by event: the slow why.

Its partner for short, plain texts is fast_parsing.
tests/text/test_composing.py holds the two equal.
"""

from typing import Any, NamedTuple

from krunc_compiler.findings.finding import (
    Finding,
    Located,
    Path,
    Place,
    Rejected,
    Source,
    Span,
    reject,
)
from krunc_compiler.text.fast_parsing import composed
from krunc_compiler.text.libyaml import YAMLError, events, events_of
from krunc_compiler.text.scalars import NoNumber, scalar
from krunc_compiler.text.yaml_errors import MAX_DEPTH, finding_of, too_deep

# Far above any real box; it bounds time and memory for hostile ones.
MAX_NODES = 20_000

# What the tags of other tools are here.
_TAGS = {
    "!reset": "write null to drop a key of the base",
    "!override": "remove it; docs/boxes.md describes how lists and maps of a base are replaced",
}


class _Refused(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class _Places(dict[Path, Place]):
    """Places, and what is wrong with keys."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[Finding, None] = {}


class _Node(NamedTuple):
    span: Span
    # A scalar, a list of nodes, or a list of (key, value) nodes in a 1-tuple.
    value: Any
    kind: str
    size: int


def parse(name: str, text: str, empty: Finding | None = None) -> tuple[Any, Source]:
    """Return the value of one YAML document and the source with its places. EMPTY is what is told
    of a text without one that is to be no box.

    Raises Rejected for text that is not YAML, repeated keys, tags, endless aliases, more than
    one document, and more than MAX_DEPTH levels or MAX_NODES values.
    """
    try:
        value, source = parse_on(name, text)
    except Rejected as rejected:
        (item,) = rejected.findings
        if empty is None or item.finding.code != "KR004":
            raise
        raise Rejected([item._replace(finding=empty._replace(span=item.finding.span))]) from None
    if source.faults:
        raise Rejected(list(source.faults))
    return value, source


def parse_on(name: str, text: str) -> tuple[Any, Source]:
    """As parse does, but what is wrong with single keys is among the source's faults: the first
    of equal keys is taken, and none that is no word. A mark in front of the text is
    no part of it."""
    text = text.removeprefix("\ufeff")
    quick = composed(text)
    if quick is not None:
        return quick[0], Source(name, text, quick[1])
    return parse_by_events(name, text)


def parse_by_events(name: str, text: str) -> tuple[Any, Source]:
    """As parse_on does, for every text."""
    places = _Places()
    source = Source(name, text, places)
    try:
        node = _Composer(text).document()
        value = _value(node, (), places)
    except _Refused as refused:
        raise reject(source, [refused.finding]) from None
    except YAMLError as error:
        raise reject(source, [finding_of(error, text)]) from None
    faults = tuple(Located(source, finding) for finding in places.faults)
    return value, source._replace(faults=faults)


class _Composer:
    """Events to nodes. Stops at the first level too many while events still stream."""

    def __init__(self, text: str) -> None:
        self._events = events_of(text)
        self._anchors: dict[str, _Node | None] = {}
        self._nodes = 0

    def document(self) -> _Node:
        next(self._events)  # StreamStart
        event = next(self._events)
        if isinstance(event, events.StreamEndEvent):
            raise _Refused(
                Finding(
                    "KR004",
                    "the file is empty",
                    hint="start the box with `krunc: 1`; `krunc schema box` shows its keys",
                    span=Span(0, 0, 0, 0),
                )
            )
        node = self._node(next(self._events), 0)
        next(self._events)  # DocumentEnd
        event = next(self._events)
        if not isinstance(event, events.StreamEndEvent):
            raise _Refused(
                Finding(
                    "KR007",
                    "a second document starts here",
                    hint="write each document into a file of its own",
                    span=_span(event),
                )
            )
        return node

    def _node(self, event: events.Event, depth: int) -> _Node:
        span = _span(event)
        self._count(1, span)
        if isinstance(event, events.AliasEvent):
            return self._alias(event, span)
        if not isinstance(event, events.ScalarEvent | events.CollectionStartEvent):
            raise TypeError(f"no node starts with {event}")
        if event.tag is not None and event.tag != "!":
            raise _Refused(
                Finding(
                    "KR007",
                    f"the tag {event.tag!r} is not known here",
                    hint=_TAGS.get(
                        event.tag, "remove it; put a value in quotes to make it a string"
                    ),
                    span=span,
                )
            )
        if depth > MAX_DEPTH:
            raise _Refused(too_deep(span))
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._anchored(event, span, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _anchored(
        self, event: events.ScalarEvent | events.CollectionStartEvent, span: Span, depth: int
    ) -> _Node:
        if isinstance(event, events.ScalarEvent):
            plain = event.tag is None and event.implicit[0] and not event.style
            kind = "merge" if plain and event.value == "<<" else "scalar"
            return _Node(span, _scalar(event.value, span) if plain else event.value, kind, 1)
        children: list[Any] = []
        size = 1
        if isinstance(event, events.SequenceStartEvent):
            while not isinstance(inner := next(self._events), events.SequenceEndEvent):
                children.append(node := self._node(inner, depth + 1))
                size += node.size
            return _Node(_join(span, _span(inner)), children, "list", size)
        while not isinstance(inner := next(self._events), events.MappingEndEvent):
            key = self._node(inner, depth + 1)
            node = self._node(next(self._events), depth + 1)
            children.append((key, node))
            size += key.size + node.size
        return _Node(_join(span, _span(inner)), children, "map", size)

    def _alias(self, event: events.AliasEvent, span: Span) -> _Node:
        if event.anchor not in self._anchors:
            hint = f"write &{event.anchor} before the value that it repeats, above this line"
            said = f"no anchor &{event.anchor} before this"
            raise _Refused(Finding("KR007", said, hint=hint, span=span))
        node = self._anchors[event.anchor]
        if node is None:
            said = f"*{event.anchor} is inside itself"
            hint = "repeat a value that ends above this line"
            raise _Refused(Finding("KR007", said, hint=hint, span=span))
        self._count(node.size, span)
        return node._replace(span=span)

    def _count(self, nodes: int, span: Span) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Refused(
                Finding(
                    "KR006",
                    f"more than {MAX_NODES:,} values, counting what aliases repeat",
                    hint="write fewer, or fewer aliases of aliases: no box needs so many",
                    span=span,
                )
            )


def _span(event: events.Event) -> Span:
    start: Any = event.start_mark
    end: Any = event.end_mark
    return Span(start.line, start.column, end.line, end.column)


def _join(start: Span, end: Span) -> Span:
    return Span(start.line, start.column, end.end_line, end.end_column)


def _scalar(text: str, span: Span) -> Any:
    try:
        return scalar(text)
    except NoNumber as error:
        found = Finding(error.code, str(error), hint=error.hint, span=span)
        raise _Refused(found) from None


def _value(node: _Node, path: Path, places: _Places, key: Span | None = None) -> Any:
    places[path] = Place(node.span, key)
    if node.kind == "list":
        return [_value(child, (*path, i), places) for i, child in enumerate(node.value)]
    if node.kind != "map":
        return node.value
    result: dict[str, Any] = {}
    firsts: dict[str, int] = {}
    for key_node, child in node.value:
        if key_node.kind == "merge":
            continue
        name = key_node.value
        if not isinstance(name, str):
            places.faults[_no_word(key_node, path)] = None
            continue
        if name in result:
            said = f"duplicate key {name!r}; the first is on line {firsts[name]}"
            fault = Finding("KR005", said, hint="keep one of them", span=key_node.span)
            places.faults[fault] = None
            continue
        firsts[name] = key_node.span.line + 1
        result[name] = _value(child, (*path, name), places, key_node.span)
    for key_node, child in node.value:
        if key_node.kind == "merge":
            _merge(child, key_node.span, path, places, result)
    return result


def _no_word(key: _Node, path: Path) -> Finding:
    hint = "put it in quotes when it is meant as a word"
    if key.kind == "map":
        hint = 'put quotes around a string that starts with a brace, as in "{{ name }}"'
    return Finding("KR003", "a key is a word here", path, hint=hint, span=key.span)


def _merge(node: _Node, at: Span, path: Path, places: _Places, result: dict[str, Any]) -> None:
    """Add the keys of a `<<`: the map's own keys go before them, earlier maps before later."""
    for source in node.value if node.kind == "list" else [node]:
        if source.kind != "map":
            raise _Refused(
                Finding(
                    "KR007",
                    "<< takes the keys of a map; this is not one",
                    hint='write <<: *NAME, where &NAME marks a map, or put "<<" in quotes',
                    span=at,
                )
            )
        inner = _Places()
        values = _value(source, path, inner)
        places.faults |= inner.faults
        for name in values:
            if name in result:
                continue
            result[name] = values[name]
            top = (*path, name)
            places.update(
                {where: place for where, place in inner.items() if where[: len(top)] == top}
            )
