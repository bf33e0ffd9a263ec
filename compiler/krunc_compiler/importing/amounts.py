"""Sizes, times, numbers and switches as containers' configurations write them."""

from __future__ import annotations

import re
from typing import Any

# go-units' RAMInBytes: powers of 1024, whatever the unit is called.
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([bkmgtp]?)(?:i?b)?", re.IGNORECASE)
_UNITS = "bkmgtp"
_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s|m|h|d)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
_YES, _NO = ("true", "1", "t", "yes", "on"), ("false", "0", "f", "no", "off")
MIB = 1 << 20


def size(value: Any) -> int | None:
    """Return the bytes that VALUE says, as in 64m or 1.5gb; None for no size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if value >= 0 else None
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    return int(float(found[1]) * 1024 ** _UNITS.index((found[2] or "b").lower()))


def seconds(value: Any) -> float | None:
    """Return the seconds of a time such as 1m30s; a number alone is seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    if not isinstance(value, str):
        return None
    if _DECIMAL.fullmatch(value):
        return float(value)
    if not value or _TIME.sub("", value):
        return None
    return sum(float(count) * _SECONDS[unit] for count, unit in _TIME.findall(value))


def integer(value: Any) -> int | None:
    """Return the integer that VALUE is or says."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def decimal(value: Any) -> float | None:
    """Return the number, not below 0, that VALUE is or says."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def switch(value: Any) -> bool | None:
    """Return what VALUE switches: on, off, or None for neither."""
    text = str(value).lower() if isinstance(value, bool | int | str) else ""
    return True if text in _YES else False if text in _NO else None
