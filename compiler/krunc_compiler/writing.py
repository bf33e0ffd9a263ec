"""Outputs: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write(path: Path, text: str) -> bool:
    """Make TEXT the content of the file PATH; return whether that changed anything.

    The text goes to a temporary file beside it, which is then renamed. Raises OSError.
    """
    data = text.encode("utf-8")
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    return True


def _umask() -> int:
    # The kernel tells the umask only to who sets it; Linux also in /proc/self/status.
    current = os.umask(0o022)
    os.umask(current)
    return current
