"""Outputs: whole or not at all."""

from __future__ import annotations

import os


def write(path: str, text: str) -> bool:
    """Make TEXT the content of the file PATH; return whether that changed anything.

    The text goes to a temporary file beside it, which is then renamed. Raises OSError.
    """
    data = text.encode("utf-8")
    try:
        with open(path, "rb") as file:
            if file.read(len(data) + 1) == data:
                return False
    except FileNotFoundError:
        pass
    folder, name = os.path.split(path)
    # tempfile would take as long to import as a box to compile.
    made = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(made, path)
        made = ""
    finally:
        if made:
            os.unlink(made)
    return True
