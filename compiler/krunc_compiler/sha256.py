"""SHA-256 by Python's own C: hashlib loads OpenSSL, which takes longer than a box to compile."""

from __future__ import annotations

try:
    # Python 3.12 and newer
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]


def hexdigest(data: bytes) -> str:
    """The digest of DATA, 64 hexadecimal digits."""
    return str(sha256(data).hexdigest())
