"""The names of many plans in a few words, and the parts of a name that differ from plan to plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from krunc_compiler.review.words import bare, marked

# Letters, digits, and what stands between them.
PARTS = re.compile(r"[0-9]+|[A-Za-z]+|[^0-9A-Za-z]+")
_DIGITS = re.compile(r"[0-9]+")
# So many pieces of a list are told.
MOST = 12


def words_of(name: str) -> tuple[str, ...]:
    """Return the words and numbers of NAME, in order."""
    return tuple(one for one in PARTS.findall(name) if one.isalnum() and one.isascii())


def shape_of(text: str) -> str:
    """Return TEXT with `a` for each word and `0` for each number: what has one shape can differ
    in these alone."""
    return "".join(map(_kind, PARTS.findall(text)))


def _kind(part: str) -> str:
    if not (part.isalnum() and part.isascii()):
        return part
    return "0" if part.isdigit() else "a"


def family_of(name: str) -> str:
    """Return NAME with `#` for each number: plans of a matrix share it."""
    return _DIGITS.sub("#", name)


def ranges(numbers: Iterable[int], most: int = MOST) -> str:
    """Return NUMBERS as 1-16,18-1000; what is beyond MOST ranges is counted, up to the
    greatest."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    told = [str(a) if a == b else f"{a}-{b}" for a, b in found[:most]]
    left = sum(b - a + 1 for a, b in found[most:])
    return ",".join(told) + (f" and {left} more up to {found[-1][1]}" if left else "")


def are_all_told(names: Sequence[str]) -> bool:
    """Tell whether each of NAMES can be read from what `in_words` says of them."""
    series = _series(names)
    return len(series) <= MOST and all(
        " " not in ranges(numbers) for numbers in series.values() if numbers[0] >= 0
    )


def in_words(names: Sequence[str]) -> str:
    """Return NAMES in a few words: those that differ in their last number alone as
    web-{1-16,18-1000}. Braces are krunc's own: a name with one of its own stands in quotes."""
    series = _series(names)
    told = []
    for i, ((before, after), numbers) in enumerate(series.items()):
        if i == MOST:
            left = sum(map(len, list(series.values())[MOST:]))
            told.append(f"and {left:,} more")
            break
        if numbers[0] < 0:
            told.append(marked(bare(before)))
        elif len(numbers) == 1:
            told.append(marked(f"{before}{numbers[0]}{after}"))
        else:
            told.append(marked(f"{before}{{{ranges(numbers)}}}{after}"))
    return ", ".join(told).replace(", and ", " and ")


def _series(names: Iterable[str]) -> dict[tuple[str, str], list[int]]:
    """Return the last numbers of NAMES, by what stands around them."""
    series: dict[tuple[str, str], list[int]] = {}
    for name in names:
        series.setdefault(_around(name), []).append(_number(name))
    return series


def _around(name: str) -> tuple[str, str]:
    """Return what stands before and behind the last number of NAME; the whole name where it has
    none that is written plainly."""
    number = _last(name)
    return (name, "") if number is None else (name[: number.start()], name[number.end() :])


def _number(name: str) -> int:
    number = _last(name)
    return -1 if number is None else int(number[0])


def _last(name: str) -> re.Match[str] | None:
    found = list(_DIGITS.finditer(name))
    number = found[-1] if found else None
    if number is None or bare(name) != name or len(number[0]) > 15:
        return None
    return number if str(int(number[0])) == number[0] else None
