"""SHA-256 by Python's own C: hashlib loads OpenSSL, which takes longer than a box to compile, but
is several times as quick when it is there."""

from __future__ import annotations

from typing import Any

try:
    # Python 3.12 and newer
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]


_sha256 = sha256


def for_many() -> None:
    """Load OpenSSL, for hundreds of digests will be made."""
    global _sha256
    from hashlib import sha256

    _sha256 = sha256


def running() -> Any:
    """Return a digest that is made of one piece after another."""
    return _sha256()


def hexdigest(data: bytes) -> str:
    """Return the digest of DATA, 64 hexadecimal digits."""
    return str(_sha256(data).hexdigest())
