"""Plain scalars of YAML 1.2's core schema (section 10.3.2): `no` is a word and 1e3 a number."""

from __future__ import annotations

import math
import re
from typing import Any

# Characters of a number that a finding repeats.
_SHOWN = 60
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# All that stands in the numbers below.
_CHARACTERS = frozenset("+-.0123456789abcdefABCDEFxoinIN")
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_OCT = re.compile(r"0o[0-7]{1,40}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class NotFinite(ValueError):
    """The scalar is a number without a value: infinite, not a number, or out of range."""


def scalar(text: str) -> Any:
    """Return the value of the plain scalar TEXT (as in --set); raises NotFinite for .nan and
    .inf."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or not _CHARACTERS.issuperset(text):
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCT.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        raise NotFinite(f"{shown} is not a finite number")
    return text
