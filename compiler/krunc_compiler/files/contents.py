"""The bytes of a file, with no more system calls than that takes."""

from __future__ import annotations

import os
import sys

_PIECE = 1 << 14


def contents(path: str, most: int = sys.maxsize) -> bytes:
    """The first MOST bytes of the file PATH. Raises OSError, and ValueError for what can be no
    file's name."""
    parts: list[bytes] = []
    # In pieces: room for the most that there may be would be mapped for each file. And without
    # Python's file objects, which ask the system twice as much.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while most and (part := os.read(descriptor, min(most, _PIECE))):
            parts.append(part)
            most -= len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)
