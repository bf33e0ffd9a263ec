"""What differs between two strings, line by line, and within a long line part by part.

Nothing is interpreted: the pieces are those of the strings themselves. A line also ends behind the
two characters \\n, for a script that becomes one argument has its newlines so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from krunc_compiler.review.matching import longest_rise

Sign = Literal["-", "+", " "]

_LINES = re.compile(r"(?:(?!\\n)[^\n])*(?:\n|\\n|\Z)")
_TOKENS = re.compile(r"[^\s;,&|]*(?:[\s;,&|]+|\Z)")
# Lines around a change, and parts around one in a long line.
_NEAR = 2
# A longer line is shown by its changed parts.
LONG = 160
# Characters around the changed part of a part that is long itself.
_AROUND = 30
# Above these sizes only lines that stand once on each side are matched, so that no text takes long.
_TABLE, _DEPTH = 40_000, 8


class Edit(NamedTuple):
    """A line that goes, comes or stays, with its number from 1 on its side; `part` when it is only
    a part of the line."""

    sign: Sign
    number: int
    text: str
    part: bool = False


Hunk = tuple[Edit, ...]


def lines(text: str) -> list[str]:
    """Return the lines of TEXT with what ends them; joined they are TEXT."""
    return [one for one in _LINES.findall(text) if one]


def hunks(old: str, new: str) -> tuple[Hunk, ...]:
    """Tell what differs between OLD and NEW, with the lines around it."""
    was, now = lines(old), lines(new)
    return tuple(
        tuple(_hunk(was, now, group)) for group in _groups(matched(was, now), len(was), len(now))
    )


class _Gap(NamedTuple):
    """Old pieces from `i` to `i_end` became new pieces from `j` to `j_end`."""

    i: int
    i_end: int
    j: int
    j_end: int


def _groups(pairs: list[tuple[int, int]], olds: int, news: int) -> list[list[_Gap]]:
    """Return the places without a match; those near each other together."""
    groups: list[list[_Gap]] = []
    i = j = 0
    for next_i, next_j in [*pairs, (olds, news)]:
        if next_i > i or next_j > j:
            if groups and i - groups[-1][-1].i_end <= 2 * _NEAR:
                groups[-1].append(_Gap(i, next_i, j, next_j))
            else:
                groups.append([_Gap(i, next_i, j, next_j)])
        i, j = next_i + 1, next_j + 1
    return groups


def _hunk(was: list[str], now: list[str], group: list[_Gap]) -> Iterator[Edit]:
    j = max(0, group[0].j - _NEAR)
    for gap in group:
        yield from (Edit(" ", at + 1, now[at]) for at in range(j, gap.j))
        yield from _changed(was, now, gap)
        j = gap.j_end
    yield from (Edit(" ", at + 1, now[at]) for at in range(j, min(len(now), j + _NEAR)))


def _changed(was: list[str], now: list[str], gap: _Gap) -> Iterator[Edit]:
    """Lines that became others: long ones pair by pair and by their parts, else all old ones
    first."""
    both = min(gap.i_end - gap.i, gap.j_end - gap.j)
    if both and max(map(len, [*was[gap.i : gap.i_end], *now[gap.j : gap.j_end]])) > LONG:
        for k in range(both):
            yield from _parts(was[gap.i + k], now[gap.j + k], gap.i + k + 1, gap.j + k + 1)
    else:
        both = 0
    yield from (Edit("-", at + 1, was[at]) for at in range(gap.i + both, gap.i_end))
    yield from (Edit("+", at + 1, now[at]) for at in range(gap.j + both, gap.j_end))


def _parts(old: str, new: str, i: int, j: int) -> Iterator[Edit]:
    if max(len(old), len(new)) <= LONG:
        yield Edit("-", i, old)
        yield Edit("+", j, new)
        return
    was, now = ([one for one in _TOKENS.findall(text) if one] for text in (old, new))
    for group in _groups(matched(was, now), len(was), len(now)):
        first, last = group[0], group[-1]
        before = "".join(was[max(0, first.i - _NEAR) : last.i_end + _NEAR])
        after = "".join(now[max(0, first.j - _NEAR) : last.j_end + _NEAR])
        out, in_ = changed_part(before, after)
        yield Edit("-", i, _near(before, *out), True)
        yield Edit("+", j, _near(after, *in_), True)


def _near(text: str, start: int, end: int) -> str:
    return text if len(text) <= LONG else text[max(0, start - _AROUND) : end + _AROUND]


def changed_part(old: str, new: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """From where to where OLD and NEW differ, in each of them."""
    start = _alike(old, new)
    most = min(len(old), len(new)) - start
    ends = [text[len(text) - most :][::-1] for text in (old, new)]
    same = _alike(*ends)
    return (start, len(old) - same), (start, len(new) - same)


def _alike(old: str, new: str) -> int:
    """Tell how many characters at the start are the same."""
    both = zip(old, new, strict=False)
    return next((i for i, (x, y) in enumerate(both) if x != y), min(len(old), len(new)))


def matched(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Tell which items of OLD stay as which of NEW, in order: first those that stand once on each
    side, then between them, in time that grows with the number of items."""
    found: list[tuple[int, int]] = []
    todo = [(0, len(old), 0, len(new), 0)]
    while todo:
        i, i_end, j, j_end, depth = todo.pop()
        while i < i_end and j < j_end and old[i] == new[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        while i < i_end and j < j_end and old[i_end - 1] == new[j_end - 1]:
            i_end, j_end = i_end - 1, j_end - 1
            found.append((i_end, j_end))
        if i == i_end or j == j_end:
            continue
        anchors = _anchors(old, new, (i, i_end, j, j_end)) if depth < _DEPTH else []
        if anchors:
            for at_i, at_j in [*anchors, (i_end, j_end)]:
                todo.append((i, at_i, j, at_j, depth + 1))
                i, j = at_i + 1, at_j + 1
            found += anchors
        elif (i_end - i) * (j_end - j) <= _TABLE:
            found += [(i + x, j + y) for x, y in _longest(old[i:i_end], new[j:j_end])]
    return sorted(found)


def _anchors(
    old: Sequence[str], new: Sequence[str], block: tuple[int, int, int, int]
) -> list[tuple[int, int]]:
    """Return the items that stand once in each half of the BLOCK, as many as are in the same
    order."""
    i, i_end, j, j_end = block
    olds, news = Counter(old[i:i_end]), Counter(new[j:j_end])
    places = {new[at]: at for at in range(j, j_end) if news[new[at]] == 1}
    both = [
        (at, places[old[at]]) for at in range(i, i_end) if olds[old[at]] == 1 and old[at] in places
    ]
    kept = longest_rise([at for _, at in both])
    return [pair for pair in both if pair[1] in kept]


def _longest(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return a longest common run of items, by the table of the lengths of those of all ends."""
    table = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        row, below = table[i], table[i + 1]
        for j in range(len(new) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if old[i] == new[j] else max(below[j], row[j + 1])
    found = []
    i = j = 0
    while i < len(old) and j < len(new):
        if old[i] == new[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return found
