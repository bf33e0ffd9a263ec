"""The directory of one launch: made, locked while the launch lives, and removed, also by the next
launch when its own was killed.

Guests of older libkruns write in it, and a VM of another user may have made what stands beside it:
nothing here follows a link, leaves a directory's file system, or removes another user's directory.
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._krun import libc
from krunc_launcher.errors import LaunchError, why
from krunc_launcher.host.runtime import is_unused
from krunc_launcher.paths import LAUNCH_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENED = system.O_RDONLY | system.O_DIRECTORY | system.O_NOFOLLOW | system.O_CLOEXEC
_LOCK_EX, _LOCK_NB = 2, 4  # asm-generic/fcntl.h
_EEXIST = 17  # asm-generic/errno-base.h
_TRIES = 100


class LaunchDirectory:
    """The directory PATH, in a runtime directory that is this user's. Its lock is held as long as
    the process that made it lives."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: str, group: int | None = None) -> None:
        """Make it; raises LaunchError. A runtime directory that is made with it, or is unused, lets
        the GROUP through, which sees no names in it; another one stays as it is."""
        self.path = path
        runtime = system.dirname(path)
        try:
            system.makedirs(runtime, 0o700)
            if group is not None and is_unused(runtime):
                _open_to(runtime, group)
            self._lock = _made(path)
        except OSError as error:
            raise LaunchError(f"the launch has no directory of its own: {why(error)}") from None

    def remove(self) -> None:
        """Remove it with what is in it. What cannot be removed stays."""
        _remove(self.path, self._lock)
        system.close(self._lock)


def _open_to(runtime: str, group: int) -> None:
    handle = system.open(runtime, _OPENED)
    try:
        system.fchown(handle, -1, group)
        system.fchmod(handle, 0o710)
    finally:
        system.close(handle)


def remove_dead(runtime: str, owners: set[int]) -> None:
    """Remove the directories in RUNTIME of launches that were killed, as far as one of OWNERS has
    them: those that no living launch has locked."""
    try:
        names = system.listdir(runtime)
    except OSError:
        return  # it may be written and not read
    for name in names:
        path = system.join(runtime, name)
        handle = _opened(path) if _is_of_a_launch(name) else -1
        if handle < 0:
            continue
        is_theirs = system.fstat(handle).st_uid in owners
        if is_theirs and _locked(handle, _LOCK_EX | _LOCK_NB) and _is_at(handle, path):
            _remove(path, handle)
        system.close(handle)


def _is_of_a_launch(name: str) -> bool:
    start, _, number = name.rpartition("-")
    return f"{start}-" == LAUNCH_NAME and len(number) == 12 and not number.strip("0123456789abcdef")


def _made(path: str) -> int:
    """Make the directory PATH and return it, locked; raises OSError. Another launch may take it for
    a dead one's before it is locked, and remove it: then it is made again."""
    for _ in range(_TRIES):
        system.mkdir(path, 0o700)
        handle = _opened(path)
        if handle < 0:
            continue
        _locked(handle, _LOCK_EX)
        if _is_at(handle, path):
            return handle
        system.close(handle)
    raise OSError(_EEXIST, system.strerror(_EEXIST))


def _opened(path: str, above: int | None = None) -> int:
    """Return the directory PATH, in the directory ABOVE where that is given; -1 for none."""
    try:
        return system.open(path, _OPENED, dir_fd=above)
    except OSError:
        return -1


def _locked(handle: int, how: int) -> bool:
    # It fails where a living launch has it, and on a file system without locks.
    return not libc.flock(handle, how)


def _is_at(handle: int, path: str) -> bool:
    try:
        found = system.lstat(path)
    except OSError:
        return False
    mine = system.fstat(handle)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _remove(path: str, top: int) -> None:
    """Remove the directory PATH, open as TOP. What it holds in directories comes up to it first:
    however deep they are, two are open at once."""
    device = system.fstat(top).st_dev
    waiting = list(_emptied(top))
    prefix, count = system.urandom(6).hex(), 0  # no name that is there
    while waiting:
        name = waiting.pop()
        inner = _opened(name, top)
        if inner < 0:
            continue
        for below in _emptied(inner) if system.fstat(inner).st_dev == device else ():
            count += 1
            try:
                system.replace(below, f"{prefix}{count}", src_dir_fd=inner, dst_dir_fd=top)
            except OSError:
                continue  # a mount
            waiting.append(f"{prefix}{count}")
        system.close(inner)
        try:
            system.rmdir(name, dir_fd=top)
        except OSError:
            pass
    try:
        system.rmdir(path)
    except OSError:
        pass


def _emptied(handle: int) -> Iterator[str]:
    """Remove what the directory HANDLE holds but for directories, whose names are returned."""
    try:
        names = system.listdir(handle)
    except OSError:
        return
    for name in names:
        try:
            system.unlink(name, dir_fd=handle)
        except IsADirectoryError:
            yield name
        except OSError:
            pass
