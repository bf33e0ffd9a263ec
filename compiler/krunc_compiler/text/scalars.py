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
# What a number starts with, but for its sign.
_STARTS = frozenset(".0123456789")
# Compiled when a box has a number that is no plain integer, which few have.
_OCT = r"0o[0-7]{1,40}"
_HEX = r"0x[0-9a-fA-F]{1,40}"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_NOT_FINITE = r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_MOST_DIGITS = 40


class NoNumber(ValueError):
    """The scalar is a number without a value: infinite, not a number, or out of range. CODE and
    HINT are of what is said of it."""

    def __init__(self, said: str, code: str, hint: str) -> None:
        super().__init__(said)
        self.code = code
        self.hint = hint


def scalar(text: str) -> Any:
    """Return the value of the plain scalar TEXT (as in --set); raises NoNumber for .nan and
    .inf."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or not _CHARACTERS.issuperset(text):
        return text
    digits = text[1:] if text[0] in "+-" else text
    if digits[:1] not in _STARTS:  # -f is an option of a program
        return text
    if digits.isdecimal() and len(digits) <= _MOST_DIGITS:
        return int(text)
    if re.fullmatch(_OCT, text):
        return int(text[2:], 8)
    if re.fullmatch(_HEX, text):
        return int(text[2:], 16)
    if re.fullmatch(_FLOAT, text):
        real = float(text)
        if math.isfinite(real):
            return real
    if re.fullmatch(_FLOAT, text) or re.fullmatch(_NOT_FINITE, text):
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        raise NoNumber(f"{shown} is not a finite number", "KR003", "use a number")
    return text
