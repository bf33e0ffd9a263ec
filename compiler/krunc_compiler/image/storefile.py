"""Files of the store: whether only their owner can have written them, and what they hold.

The launcher has the same rule, and refuses what is doubted here.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from stat import S_ISREG

from krunc_compiler.files.sha256 import for_many, running

OTHERS_WRITE = 0o022
_MOST_NOTE = 4 << 20
_PIECE = 1 << 20


def doubted(status: os.stat_result) -> bool:
    """Tell whether the launcher would refuse a root with this STATUS: it is no plain file, or
    another user can change it."""
    is_own = status.st_uid in (0, os.geteuid())
    return not (S_ISREG(status.st_mode) and is_own) or bool(status.st_mode & OTHERS_WRITE)


def record(status: os.stat_result) -> str:
    """Return what tells a file of STATUS from itself after any change."""
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, numbers)) + "\n"


def believed(path: str) -> tuple[str | None, float]:
    """Return the text of the note at PATH, and when it was written; None when there is none that
    only its owner can have written."""
    with suppress(OSError, ValueError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if not doubted(status) and status.st_size <= _MOST_NOTE:
                return os.read(descriptor, _MOST_NOTE).decode("utf-8"), status.st_mtime
        finally:
            os.close(descriptor)
    return None, 0.0


def digest_of_file(path: str) -> str:
    """Return the digest of the regular file PATH. Raises OSError."""
    for_many()
    digest = running()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_PIECE):
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def remove_tree(path: str) -> None:
    """Remove the directory PATH, also where an archive made directories in it that nobody may look
    into. What is left is for the next pull."""
    for home, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(home, name)
            with suppress(OSError):
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def sync_directory(path: str) -> None:
    """Force to the disk which names the directory PATH has. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
