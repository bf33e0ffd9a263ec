"""Which strings of an operation became which: what a row of a difference cannot show whole."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from krunc_compiler.review.lines import Hunk, changed_part, hunks, lines, matched
from krunc_compiler.review.words import MOST, bare, digest_of, part, word

# A row with longer strings is hard to compare by eye.
_ROW = 160
# In so many rows at most a string is looked for.
_ROWS = 50
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z0-9._/:=+@%~\[\]-]+')


class TextChange(NamedTuple):
    """A string at a `place` of an operation, before and after; None where it was not or is not."""

    place: str
    old: str | None
    new: str | None

    def hunks(self) -> tuple[Hunk, ...]:
        """Tell what differs."""
        return hunks(self.old or "", self.new or "")

    def shown_in(self, was: frozenset[str], now: frozenset[str]) -> bool:
        """Tell whether the words of sentences about both sides name it."""
        return (self.old is None or _mark(self.old) in was) and (
            self.new is None or _mark(self.new) in now
        )

    def needs_lines(self, row: str) -> bool:
        """Tell whether ROW, which names it, is not enough for a reader."""
        texts = [text for text in (self.old, self.new) if text is not None]
        if any(len(text) > MOST or len(lines(text)) > 1 for text in texts):
            return True
        return len(texts) > 1 and len(row) > _ROW and max(map(len, texts)) > _ROW // 4

    def in_words(self, text: str) -> str:
        """Return the sentence TEXT, in which the changed part stands for a long string."""
        if self.old is None or self.new is None:
            return text
        for one, (start, end) in zip(
            (self.old, self.new), changed_part(self.old, self.new), strict=True
        ):
            if len(one) > MOST:
                text = text.replace(word(one), part(one, start, end))
        return text


def named_in(sentence: str) -> frozenset[str]:
    """Return the words of a SENTENCE, by which a string is found in it without a long search."""
    found = _WORD.findall(sentence)
    return frozenset([*found, *(end for one in found for end in _ends(one))])


def _ends(one: str) -> list[str]:
    """Tell what a variable is set to, and what stands before a sign of the sentence."""
    return [one.rstrip(":"), *([] if one[0] == '"' else [one.partition("=")[2]])]


def _mark(text: str) -> str:
    """Return the word that stands in a sentence for TEXT alone."""
    return digest_of(text).split()[1] if len(text) > MOST else bare(text)


class Sides(NamedTuple):
    """The words of what is said of the old side and of the new one."""

    old: frozenset[str]
    new: frozenset[str]


def shared_out(texts: list[TextChange], rows: list[Sides]) -> list[list[TextChange]]:
    """Tell which of TEXTS each of ROWS names; few rows name the same."""
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        for name in row.old | row.new:
            places.setdefault(name, []).append(i)
    found: list[list[TextChange]] = [[] for _ in rows]
    for text in texts:
        for i in places.get(_mark((text.old or "") if text.new is None else text.new), ())[:_ROWS]:
            if text.shown_in(*rows[i]):
                found[i].append(text)
    return found


def text_changes(old: dict[str, Any], new: dict[str, Any]) -> list[TextChange]:
    """Return the strings in the arguments of two operations that are not the same."""
    return list(_changes(old, new, ""))


def _changes(old: Any, new: Any, place: str) -> Iterator[TextChange]:
    if isinstance(old, str | None) and isinstance(new, str | None):
        if old != new:
            yield TextChange(place, old, new)
    elif isinstance(old, dict | None) and isinstance(new, dict | None):
        was, now = _decoded(old or {}), _decoded(new or {})
        for name in dict.fromkeys([*now, *was]):
            inner = f"{place}.{bare(name)}" if place else bare(name)
            yield from _changes(was.get(name), now.get(name), inner)
    elif isinstance(old, list | None) and isinstance(new, list | None):
        yield from _items(old or [], new or [], place)
    elif isinstance(old, str | dict | list) and isinstance(new, str | dict | list):
        yield from _changes(old, None, place)
        yield from _changes(None, new, place)


def _items(old: list[Any], new: list[Any], place: str) -> Iterator[TextChange]:
    was, now = ([json.dumps(one, sort_keys=True) for one in side] for side in (old, new))
    i = j = 0
    for next_i, next_j in [*matched(was, now), (len(old), len(new))]:
        for k in range(max(next_i - i, next_j - j)):
            before = old[i + k] if i + k < next_i else None
            after = new[j + k] if j + k < next_j else None
            number = j + k if j + k < next_j else i + k
            yield from _changes(before, after, f"{place}[{number}]")
        i, j = next_i + 1, next_j + 1


def _decoded(value: dict[str, Any]) -> dict[str, Any]:
    """Bytes that are text as such, however the plan writes them."""
    if value.keys() != {"base64"}:
        return value
    try:
        return {"text": base64.b64decode(str(value["base64"]), validate=True).decode("utf-8")}
    except (binascii.Error, ValueError):
        return value
