"""Outputs: whole or not at all, and where their names say.

Nothing goes through a link out of the directory in which the output's name stands, nor through a
directory that is a link out of the repository: a stranger can have put it there. The system's own
links, such as /dev/stdout, lead where the user says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EEXIST, EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO
from functools import lru_cache
from operator import eq
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import BinaryIO

from krunc_compiler.files.contents import contents, kind
from krunc_compiler.files.stopping import Cleaned
from krunc_compiler.files.within import is_in, repository

# Where only the system puts links.
_OF_SYSTEM = ("/dev", "/proc")

# What a file is known by stands there.
_START = 4096
# Whatever the umask: what others can write, nobody has reviewed.
_FILE, _DIRECTORY = 0o664, 0o775
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: str, text: str, replaces: bytes = b"") -> bool:
    """Make TEXT the content of the file PATH; return whether that changed anything.

    The text goes to a temporary file beside it, which is then renamed. It is not forced to the
    disk: what a power cut takes can be made again. A link in its own directory stays a link, and
    what is no file, such as /dev/null or a pipe, is written to as it is. Raises OSError, also as
    `stage` does.
    """
    data = text.encode("utf-8")
    changed = _put(path, data, replaces)
    if changed is None:
        if os.path.exists(path) and not os.path.isfile(path):
            _pour(path, data)
            return True
        changed = _put(os.path.realpath(path), data, replaces)
    if changed is None:
        raise OSError(ELOOP, "it is a link to itself")
    return changed


def _put(path: str, data: bytes, replaces: bytes) -> bool | None:
    mark = new_mark()
    with Cleaned(lambda: sweep(os.path.dirname(path), mark)):
        changed = stage(path, data, mark, replaces)
        if changed:
            settle(path, mark)
        return changed


def create(path: str, text: str) -> None:
    """Make the file PATH, which is not there, with the content TEXT. Raises OSError, and leaves
    none then."""
    unfinished = False

    def remove() -> None:
        if unfinished:
            os.unlink(path)

    with Cleaned(remove):
        descriptor = os.open(path, _NEW | os.O_EXCL, _FILE)
        unfinished = True
        try:
            _fill(descriptor, text.encode("utf-8"))
        finally:
            os.close(descriptor)
        unfinished = False


@contextmanager
def whole(path: str) -> Iterator[BinaryIO]:
    """A new file in the place of PATH, which is there when the block ends well, and else as before.
    Raises OSError, also as `stage` does for links."""
    _stay_in_repository(os.path.abspath(os.path.dirname(path)))
    if os.path.lexists(path) and not S_ISREG(os.lstat(path).st_mode):
        raise FileExistsError(EEXIST, "what is there is no regular file; use - for a pipe")
    mark = new_mark()
    with Cleaned(lambda: sweep(os.path.dirname(path), mark)):
        with open(os.open(_staged(path, mark), _NEW | os.O_EXCL, _FILE), "wb") as out:
            yield out
        settle(path, mark)


def make_directory(path: str) -> list[str]:
    """Make the directory PATH and what it lies in; return those that were made, the innermost
    first. Raises OSError, and leaves none then: also as `stage` does for links, and where something
    else than a directory is in its way."""
    if os.path.isdir(path):
        return []  # what is written into it is looked at
    if not path:  # as of a shell's variable that is not set
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
    missing = []
    above = os.path.abspath(path)
    while not os.path.lexists(above):
        missing.append(above)
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise NotADirectoryError(ENOTDIR, _in_the_way(above))
    _stay_in_repository(above)
    made: list[str] = []
    try:
        for directory in reversed(missing):
            os.mkdir(directory, _DIRECTORY)
            made.insert(0, directory)
    except OSError:
        remove_empty(made)
        raise
    return made


def _in_the_way(path: str) -> str:
    """Tell what PATH is, which is no directory."""
    mode = os.lstat(path).st_mode
    if not S_ISLNK(mode):
        return f"{path} is {kind(mode)}"
    try:
        return f"{path} is a link to {kind(os.stat(path).st_mode)}"
    except OSError:
        return f"{path} is a link to nothing"


def remove_empty(directories: list[str]) -> None:
    """Remove those of DIRECTORIES, the innermost first, in which there is nothing."""
    for directory in directories:
        try:
            os.rmdir(directory)
        except OSError:
            return


def new_mark() -> str:
    """Tell what is at the end of the names of one run's temporary files."""
    return os.urandom(6).hex()


def stage(
    path: str,
    data: bytes,
    mark: str,
    replaces: bytes = b"",
    is_same: Callable[[bytes, bytes], bool] = eq,
) -> bool | None:
    """Write DATA beside the file PATH, unless its content IS THE SAME; whether it was written.

    None when PATH is a link, a device or a pipe, in whose place no file is put. Raises OSError, and
    FileExistsError when there is something that has nothing of REPLACES near its start.
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
        if S_ISDIR(mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        there = contents(path, max(2 * len(data) + 1, _START))
        if is_same(there, data):
            return False
        if there and replaces not in there[:_START]:
            raise FileExistsError(
                EEXIST, "the file that is there was not written by krunc, and is left alone"
            )
    descriptor = os.open(_staged(path, mark), _NEW, _FILE)
    try:
        _fill(descriptor, data)
    finally:
        os.close(descriptor)
    return True


@lru_cache(64)
def _stay_in_repository(directory: str) -> None:
    """Raise OSError when DIRECTORY is in a repository by its name, but not in fact."""
    home = repository(directory)
    if home is None or not is_in(directory, home):
        return
    if not is_in(os.path.realpath(directory), os.path.realpath(home)):
        raise OSError(
            ELOOP, "its directory is a link out of the repository; name the directory itself"
        )


def _stay(path: str) -> None:
    """Raise OSError when PATH is a link that leads out of its directory."""
    directory = os.path.realpath(os.path.dirname(path))
    if not is_in(os.path.realpath(path), directory) and not any(
        is_in(directory, place) for place in _OF_SYSTEM
    ):
        raise OSError(
            ELOOP,
            "it is a link out of its directory; remove it, or write to the file that it leads to",
        )


def _fill(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _pour(path: str, data: bytes) -> None:
    """Write DATA into what is no file. Raises OSError, also for a pipe that nobody reads: it would
    be waited for without end."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == ENXIO:
            raise OSError(ENXIO, "no process reads from the pipe or socket") from None
        raise
    try:
        os.set_blocking(descriptor, True)
        _fill(descriptor, data)
    finally:
        os.close(descriptor)


def settle(path: str, mark: str) -> None:
    """Make what was staged the content of the file PATH. Raises OSError."""
    os.replace(_staged(path, mark), path)


def sweep(directory: str, mark: str) -> None:
    """Remove what is still staged in DIRECTORY."""
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return  # it went, or does not tell what is in it
    for name in names:
        if name.startswith(".") and name.endswith(f".{mark}"):
            os.unlink(os.path.join(directory, name))


def _staged(path: str, mark: str) -> str:
    directory, slash, name = path.rpartition("/")
    return f"{directory}{slash}.{name}.{mark}"
