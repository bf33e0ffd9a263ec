"""A lock for as long as a block of code runs, held on a directory that may come and go."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from kvmhost.errors import HostError


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the only lock on a directory; it is created (0700) when it is not there.

    Who held the lock before may have removed the directory, and others may have made it anew: then
    the lock is on something that nobody else finds, and is asked for again.
    """
    while True:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            owner = os.fstat(fd).st_uid
            if owner != os.geteuid():  # who waited for us below a world-writable directory?
                raise HostError(f"{directory} belongs to another user, {owner}")
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(fd, directory):
                yield
                return
        finally:
            os.close(fd)


def _is_at(fd: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), directory.stat())
    except FileNotFoundError:
        return False
