"""Outputs: whole or not at all."""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISREG

from krunc_compiler.files.contents import contents

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: str, text: str) -> bool:
    """Make TEXT the content of the file PATH; return whether that changed anything.

    The text goes to a temporary file beside it, which is then renamed. It is not forced to the
    disk: what a power cut takes can be made again. A link stays a link, and what is no file, such
    as /dev/null or a pipe, is written to as it is. Raises OSError.
    """
    mark, data = new_mark(), text.encode("utf-8")
    changed = stage(path, data, mark)
    if changed is None:
        if not os.path.isfile(path):
            with open(path, "wb") as file:
                file.write(data)
            return True
        path = os.path.realpath(path)
        changed = bool(stage(path, data, mark))
    if changed:
        try:
            settle(path, mark)
        except OSError:
            sweep(os.path.dirname(path), mark)
            raise
    return changed


def new_mark() -> str:
    """What is at the end of the names of one run's temporary files."""
    return os.urandom(6).hex()


def stage(path: str, data: bytes, mark: str) -> bool | None:
    """Write DATA beside the file PATH, unless that is its content; whether it was written.

    None when PATH is a link, a device or a pipe, in whose place no file is put. Raises OSError.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        pass
    else:
        if not (S_ISREG(mode) or S_ISDIR(mode)):
            return None
        if contents(path, len(data) + 1) == data:
            return False
    descriptor = os.open(_staged(path, mark), _NEW, 0o666)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
    return True


def settle(path: str, mark: str) -> None:
    """Make what was staged the content of the file PATH. Raises OSError."""
    os.replace(_staged(path, mark), path)


def sweep(folder: str, mark: str) -> None:
    """Remove what is still staged in FOLDER."""
    for name in os.listdir(folder or ".") if os.path.isdir(folder or ".") else ():
        if name.startswith(".") and name.endswith(f".{mark}"):
            os.unlink(os.path.join(folder, name))


def _staged(path: str, mark: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{mark}"
