"""Removes the directory of a launch, also the next launch's when its own was killed: nothing here
follows a link, leaves a directory's file system, or removes another user's directory."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.paths import LAUNCH_NAME
from krunc_launcher.supervise.launch_directory import is_at, locked, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK_EX, _LOCK_NB = 2, 4  # asm-generic/fcntl.h


def remove(path: str, lock: int) -> None:
    """Remove the directory PATH with what is in it, and give LOCK up. What cannot be removed
    stays."""
    _remove(path, lock)
    system.close(lock)


def remove_dead(runtime: str, owners: set[int]) -> None:
    """Remove the directories in RUNTIME of launches that were killed, as far as one of OWNERS has
    them: those that no living launch has locked."""
    try:
        names = system.listdir(runtime)
    except OSError:
        return  # it may be written and not read
    for name in names:
        if not _is_of_a_launch(name):
            continue
        path = system.join(runtime, name)
        handle = opened(path)
        if handle < 0:
            continue
        is_theirs = system.fstat(handle).st_uid in owners
        if is_theirs and locked(handle, _LOCK_EX | _LOCK_NB) and is_at(handle, path):
            _remove(path, handle)
        system.close(handle)


def _is_of_a_launch(name: str) -> bool:
    start, _, number = name.rpartition("-")
    return f"{start}-" == LAUNCH_NAME and len(number) == 12 and not number.strip("0123456789abcdef")


def _remove(path: str, top: int) -> None:
    """Remove the directory PATH, open as TOP. What it holds in directories comes up to it first:
    however deep they are, two are open at once."""
    device = system.fstat(top).st_dev
    waiting = list(_emptied(top))
    prefix, count = system.urandom(6).hex(), 0  # no name that is there
    while waiting:
        name = waiting.pop()
        inner = opened(name, top)
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
