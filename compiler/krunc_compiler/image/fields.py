"""Numbers, times and texts as tar headers spell them."""

from __future__ import annotations

import re

from krunc_compiler.image.refusal import Refusal, shown

_DECIMAL = re.compile(rb"[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]*))?")
_OCTAL = re.compile(rb"[0-7]*")
NANO = 1_000_000_000


def text(field: bytes) -> bytes:
    """Return what stands in a FIELD up to its NUL."""
    return field.partition(b"\0")[0]


def number(field: bytes, what: str) -> int:
    """Read a FIELD of a header: octal digits, or base 256 where its first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        negative = value >> (bits - 2) & 1
        return value - (1 << bits) if negative else value - (1 << (bits - 1))
    digits = field.strip(b" \0")
    if not _OCTAL.fullmatch(digits):
        raise Refusal(f"{what} {shown(digits)}", "an octal number")
    return int(digits, 8) if digits else 0


def decimal(value: bytes, what: str) -> int:
    """Read a VALUE of a PAX record."""
    if not _DECIMAL.fullmatch(value):
        raise Refusal(f"{what} {shown(value)}", "a decimal number")
    return int(value)


def time(value: bytes) -> tuple[int, int]:
    """Read a time of a PAX record: seconds, and nanoseconds, which only add to them."""
    match = _TIME.fullmatch(value)
    if not match:
        raise Refusal(f"mtime {shown(value)}", "seconds, as a decimal number")
    sign, seconds, fraction = match.groups()
    nanoseconds = int((fraction or b"")[:9].ljust(9, b"0"))
    if sign:
        total = -int(seconds) * NANO - nanoseconds
        return divmod(total, NANO)
    return int(seconds), nanoseconds
