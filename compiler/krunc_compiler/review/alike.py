"""What many plans say alike, told once.

A text that differs from plan to plan only by what the plan's own name or its variables say stands
with the variable in its place: `TCP port {n+8000}`. That is not guessed: it holds for each plan of
the group, which the text with its own variables is made from again. A number that no variable
tells stands as {a}.

What stands for a value hides it, and the author of a plan chooses names and variables. So all words
that stand behind a variable are told, in as many texts as that takes; of numbers the least and the
greatest, with what is between. Only what the plans' own names say is not told twice.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from krunc_compiler.review.names import PARTS, ranges, shape_of, words_of
from krunc_compiler.review.words import marked

# What a part of a text is in all plans of a group: ("=", TEXT), ("word", PLACE), ("variable",
# NAME), ("line", PLACE, FACTOR, SUM), ("any",).
Label = tuple[str | int, ...]
_ANY: Label = ("any",)
# In fewer texts a number is not taken for any other.
_FEW = 4
# A line through two points is none.
_LEAST_LINE = 3
_LINES = 4
# A number that fewer than one in so many texts have is one of any.
_RARE = 50
# So few plans with a number of their own are told one by one.
_APART = 5
_VALUES = 24
# Of one text at most so many characters of words are told: a comment cuts longer ones.
_WORDS = 400
# What the parts of a plan's name are called: no variable is told by these.
_OWN = re.compile(r"(n|name)[0-9]*")


class Said(NamedTuple):
    """What a plan says."""

    plan: str
    text: str


class Alike(NamedTuple):
    """A text of several plans, with variables where it differs from plan to plan, and the texts
    that it stands for."""

    text: str
    plans: tuple[str, ...]
    texts: frozenset[str]


Variables = Mapping[str, Mapping[str, str]]
# Whether all plans with these names are named where the text stands.
AreNamed = Callable[[Sequence[str]], bool]


def alike(said: Sequence[Said], variables: Variables, are_named: AreNamed) -> Iterator[Alike]:
    """Yield what is SAID, each text once with its plans; VARIABLES are those of each plan, as far
    as they are known. What a plan's name tells is only told by it where the plans ARE NAMED."""
    plans: dict[str, list[str]] = {}
    for plan, text in said:
        plans.setdefault(text, []).append(plan)
    everyone = len({plan for plan, _ in said})
    shapes: dict[tuple[str, str], list[Said]] = {}
    for text, names in plans.items():
        if 2 * len(names) > everyone:
            yield Alike(text, tuple(names), frozenset([text]))
            continue
        shape = shape_of(text)
        for name in names:
            shapes.setdefault((shape, shape_of(name)), []).append(Said(name, text))
    for rows in shapes.values():
        yield from _of_shape(rows, variables, are_named)


def _of_shape(rows: list[Said], variables: Variables, are_named: AreNamed) -> Iterator[Alike]:
    """Group ROWS, which differ in words and numbers alone."""
    if len(rows) == 1:
        yield _alone(rows[0])
        return
    names = [words_of(row.plan) for row in rows]
    own = [variables.get(row.plan, {}) for row in rows]
    parts = [PARTS.findall(row.text) for row in rows]
    columns = list(zip(*parts, strict=True))
    labels = [_labels(column, names, own) for column in columns]
    groups: dict[tuple[Label, ...], list[int]] = {}
    for i, key in enumerate(zip(*labels, strict=True)):
        groups.setdefault(key, []).append(i)
    for key, group in groups.items():
        if _ANY in key and len(group) <= _APART:
            yield from (_alone(rows[i]) for i in group)
            continue
        for some in _readable([parts[i] for i in group], group):
            plans = tuple(rows[i].plan for i in some)
            seen = [parts[i] for i in some], [names[i] for i in some]
            text = _told(key, *seen, are_named(list(dict.fromkeys(plans))))
            yield Alike(text, plans, frozenset(rows[i].text for i in some))


def _readable(parts: list[list[str]], group: list[int]) -> Iterator[list[int]]:
    """Yield GROUP, of which PARTS are the texts, in pieces: of none are more words told than one
    text has room for."""
    columns = list(zip(*parts, strict=True))
    words = [place for place, column in enumerate(columns) if _are_words(set(column))]
    found: list[int] = []
    told: set[tuple[int, str]] = set()
    for own, i in sorted(
        (([row[at] for at in words], i) for row, i in zip(parts, group, strict=True))
    ):
        new = told | set(zip(words, own, strict=True))
        if found and sum(len(word) + 2 for _, word in new) > _WORDS:
            yield sorted(found)
            found, new = [], set(zip(words, own, strict=True))
        found.append(i)
        told = new
    yield sorted(found)


def _are_words(seen: set[str]) -> bool:
    """Tell whether what was SEEN is told one by one, for it has no ranges."""
    return len(seen) > 1 and any(_number(part) is None for part in seen)


def _alone(row: Said) -> Alike:
    return Alike(row.text, (row.plan,), frozenset([row.text]))


def _labels(
    column: Sequence[str], names: list[tuple[str, ...]], own: list[Mapping[str, str]]
) -> list[Label]:
    """Return what each part of COLUMN is: of all that it may be, what the most of them are."""
    fixed = Counter(column)
    if len(fixed) == 1 or not (column[0].isalnum() and column[0].isascii()):
        return [("=", part) for part in column]
    found: list[tuple[int, Label, list[bool]]] = []
    for place, at in enumerate(zip(*names, strict=True)):
        if len(set(at)) == 1:
            continue
        fits = [part == mine for part, mine in zip(column, at, strict=True)]
        found.append((sum(fits), ("word", place), fits))
        if column[0].isdigit() and at[0].isdigit():
            found += _lines(place, column, names)
    for name in dict.fromkeys(key for one in own for key in one if not _OWN.fullmatch(key)):
        fits = [part == one.get(name) for part, one in zip(column, own, strict=True)]
        found.append((sum(fits), ("variable", name), fits))
    # Of two that hold for as many, the variable's own name says the most.
    found.sort(key=lambda one: (-one[0], one[1][0] != "variable"))
    least = max(2, len(column) / _RARE)
    labels = []
    for i, part in enumerate(column):
        count, label = next(
            ((count, label) for count, label, fits in found if fits[i]), (0, ("=", part))
        )
        if fixed[part] >= count:
            count, label = fixed[part], ("=", part)
        is_any = part.isdigit() and count < least and len(column) >= _FEW
        labels.append(_ANY if is_any else label)
    return labels


def _lines(
    place: int, column: Sequence[str], names: list[tuple[str, ...]]
) -> Iterator[tuple[int, Label, list[bool]]]:
    """Yield the lines FACTOR * n + SUM on which the most numbers of COLUMN lie, n being the
    number at PLACE of the plan's name."""
    numbers = [
        (_number(name[place]), _number(part)) for name, part in zip(names, column, strict=True)
    ]
    points = sorted(
        (name[:place] + name[place + 1 :], x, y)
        for name, (x, y) in zip(names, numbers, strict=True)
        if x is not None and y is not None
    )
    slopes = Counter(
        (b[2] - a[2]) // (b[1] - a[1])
        for a, b in pairwise(points)
        if b[1] > a[1] and (b[2] - a[2]) % (b[1] - a[1]) == 0
    )
    slopes.pop(0, None)
    for slope, _ in slopes.most_common(1):
        for total, count in Counter(y - slope * x for _, x, y in points).most_common(_LINES):
            if count >= _LEAST_LINE:
                fits = [
                    x is not None and y is not None and y == slope * x + total for x, y in numbers
                ]
                yield count, ("line", place, slope, total), fits


def _number(text: str) -> int | None:
    """Return the number that is written as TEXT, where nothing else is written so."""
    plain = text.isdigit() and len(text) <= 15 and (text == "0" or not text.startswith("0"))
    return int(text) if plain else None


def _told(
    key: tuple[Label, ...], rows: list[list[str]], names: list[tuple[str, ...]], are_named: bool
) -> str:
    """Return the text of a group, of which KEY tells the parts. Its values are behind it, but for
    what its plans' names tell, which ARE NAMED."""
    called = variable_names(names)
    told: list[str] = []
    values: dict[str, str] = {}
    taken = {label[1] for label in key if label[0] == "variable"}
    letters = (one for one in _letters() if one not in taken)
    has_variable = False
    for i, label in enumerate(key):
        seen = {row[i] for row in rows}
        if len(seen) == 1:
            # A brace of the plan's own would look like a variable.
            told.append(rows[0][i].replace("{", "\\u007b"))
            continue
        has_variable = True
        if label == _ANY:
            name = f"{{{next(letters)}}}"
        elif label[0] == "variable":
            name = f"{{{label[1]}}}"
        elif label[0] == "word":
            name = f"{{{called[int(label[1])]}}}"
        else:
            name = _line(called[int(label[1])], int(label[2]), int(label[3]))
        told.append(name)
        if label[0] in ("any", "variable") or not are_named:
            values[name] = f"{name}: {_values(seen)}"
    if not has_variable:
        return "".join(rows[0])
    return "; ".join(["".join(told), *values.values()])


def _letters() -> Iterator[str]:
    """Yield a to m, and then a1 to m1: n is that of a plan's name."""
    for i in itertools.count():
        yield f"{chr(ord('a') + i % 13)}{i // 13 or ''}"


def _values(seen: set[str]) -> str:
    if _are_words(seen):
        return marked(", ".join(sorted(seen)))
    return ranges(map(int, seen), _VALUES)


def _line(name: str, slope: int, total: int) -> str:
    factor = {1: "", -1: "-"}.get(slope, str(slope))
    return f"{{{factor}{name}{f'{total:+}' if total else ''}}}"


def variable_names(names: Sequence[tuple[str, ...]]) -> dict[int, str]:
    """Return what the parts of NAMES are called, by their places: n and name, with numbers where
    several differ."""
    columns = list(zip(*names, strict=True)) if names else []
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    called = {}
    for number, place in enumerate(varying, 1):
        name = "n" if columns[place][0].isdigit() else "name"
        called[place] = name if len(varying) == 1 else f"{name}{number}"
    return called
