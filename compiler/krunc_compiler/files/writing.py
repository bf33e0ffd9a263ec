"""Outputs: whole or not at all, and where their names say.

Nothing goes through a link out of the directory in which the output's name stands, nor through a
directory that is a link out of the repository: a stranger can have put it there. The system's own
links, such as /dev/stdout, lead where the user says.
"""

from __future__ import annotations

import os
from errno import ELOOP
from functools import lru_cache
from stat import S_ISDIR, S_ISREG

from krunc_compiler.files.contents import contents
from krunc_compiler.files.within import is_in, repository

# Where only the system puts links.
_OF_SYSTEM = ("/dev", "/proc")

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: str, text: str) -> bool:
    """Make TEXT the content of the file PATH; return whether that changed anything.

    The text goes to a temporary file beside it, which is then renamed. It is not forced to the
    disk: what a power cut takes can be made again. A link in its own directory stays a link, and
    what is no file, such as /dev/null or a pipe, is written to as it is. Raises OSError.
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
    _stay_in_repository(os.path.abspath(os.path.dirname(path)))
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        pass
    else:
        if not (S_ISREG(mode) or S_ISDIR(mode)):
            _stay(path)
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


@lru_cache(64)
def _stay_in_repository(folder: str) -> None:
    """Raise OSError when FOLDER is in a repository by its name, but not in fact."""
    home = repository(folder)
    if home is None or not is_in(folder, home):
        return
    if not is_in(os.path.realpath(folder), os.path.realpath(home)):
        raise OSError(
            ELOOP, "its directory is a link out of the repository; name the directory itself"
        )


def _stay(path: str) -> None:
    """Raise OSError when PATH is a link that leads out of its directory."""
    folder = os.path.realpath(os.path.dirname(path))
    if not is_in(os.path.realpath(path), folder) and not any(
        is_in(folder, place) for place in _OF_SYSTEM
    ):
        raise OSError(
            ELOOP,
            "it is a link out of its directory; remove it, or write to the file that it leads to",
        )


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
