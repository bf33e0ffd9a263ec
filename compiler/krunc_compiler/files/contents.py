"""The bytes of an input: the only place that opens one. It waits for nothing and has an end.

A name can lead to a pipe without a writer, to a device that never ends or that does something when
it is opened, or to a file of many gigabytes. Read are regular files, and the streams that the
caller hands down, and of both no more than was asked for.
"""

from __future__ import annotations

import os
from errno import EISDIR
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG

_PIECE = 1 << 14
# O_NONBLOCK: of a pipe that takes the file's place between the look and the opening.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_HANDED_DOWN = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def contents(path: str, most: int) -> bytes:
    """Read the first MOST bytes of the regular file PATH. Raises OSError, and ValueError for what
    can be no file's name."""
    refused = _refused(os.stat(path).st_mode)
    if refused:
        raise OSError(None, refused)
    descriptor = os.open(path, _FLAGS)
    try:
        refused = _refused(os.fstat(descriptor).st_mode)
        if refused:
            raise OSError(None, refused)
        return _drained(descriptor, most)
    finally:
        os.close(descriptor)


def given(path: str, most: int) -> bytes:
    """Read the first MOST bytes of what a user names: a file, or a stream that is handed down, as a
    shell does for `<(...)`. Raises OSError and ValueError, as `contents` does."""
    if not path.startswith(_HANDED_DOWN):
        return contents(path, most)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return _drained(descriptor, most)
    finally:
        os.close(descriptor)


def _drained(descriptor: int, most: int) -> bytes:
    """Read the first MOST bytes behind DESCRIPTOR. Raises OSError."""
    parts: list[bytes] = []
    # In pieces: room for the most that there may be would be mapped for each file. And without
    # Python's file objects, which ask the system twice as much.
    while most and (part := os.read(descriptor, min(most, _PIECE))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def kind(mode: int) -> str:
    """Tell what a file of MODE is."""
    if S_ISREG(mode):
        return "a regular file"
    if S_ISDIR(mode):
        return "a directory"
    if S_ISLNK(mode):
        return "a link"
    if S_ISFIFO(mode):
        return "a named pipe"
    return "a device" if S_ISCHR(mode) or S_ISBLK(mode) else "a socket"


def _refused(mode: int) -> str:
    """Say why a file of MODE is not read; empty when it is."""
    if S_ISREG(mode):
        return ""
    if S_ISDIR(mode):
        return os.strerror(EISDIR)
    instead = "; use - for standard input" if S_ISFIFO(mode) else ""
    return f"it is {kind(mode)}, not a regular file{instead}"
