"""The directory of one launch: made and locked while the launch lives, with the socket in it to
which the stage connects. What removes it is in `removal`, which the VM's process has no use for.

Guests of older libkruns write in it, and a VM of another user may have made what stands beside it:
nothing here follows a link.
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import MEANT
from krunc_launcher._stage_rules import STAGE
from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.host.runtime import is_unused, runtime_directory
from krunc_launcher.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.paths import Directories

_OPENED = system.O_RDONLY | system.O_DIRECTORY | system.O_NOFOLLOW | system.O_CLOEXEC
# The sticky bit is the mark of a launch's own directory: it has no use where only the owner may
# enter, so that no other has it, and mkdir sets it in the same call.
MODE = 0o1700
# What the launcher makes in it, before a guest can.
CONTENT = (STAGE["root"].partition(":")[2], STAGE["socket"].partition(":")[2])
_LOCK_EX = 2  # asm-generic/fcntl.h
_EACCES, _EEXIST = 13, 17  # asm-generic/errno-base.h
_TRIES = 100
# linux/un.h, linux/net.h, asm-generic/socket.h
_UNIX, _STREAM, _CLOEXEC, _NONBLOCK = 1, 1, 0o2000000, 0o4000
_SOCKADDR = 110


def prepare(
    rows: list[dict[str, Any]], directories: Directories, is_known: bool
) -> tuple[int, int]:
    """Make the launch's own directory and the socket in it, for a plan of the operations ROWS: its
    lock and what listens there. The lock is held as long as a process of the launch has it open.
    A runtime directory that IS_KNOWN to be this user's alone was looked at if it was there: nobody
    else can have replaced it. Raises LaunchError."""
    if not is_known or not system.isdir(directories.runtime):
        try:
            system.makedirs(directories.runtime, 0o700)
        except OSError as error:
            raise _none(error) from None
        # Behind that: below /tmp somebody else may have been first.
        problems = list(runtime_directory(directories))
        if problems:
            raise LaunchError(*problems)
    is_another = next(given(rows, "uid"), None) is not None
    lock = make(directories.launch, next(given(rows, "gid"), None) if is_another else None)
    try:
        return lock, _listen(absolute(STAGE["socket"], directories))
    except LaunchError:
        undo(directories, lock, -1)
        raise


def undo(directories: Directories, lock: int, listening: int) -> None:
    """Remove what `prepare` has made, where there will be no VM; LISTENING is -1 without a socket.
    It opens nothing, for there may be no descriptor left."""
    try:
        if listening >= 0:
            system.close(listening)
            system.unlink(absolute(STAGE["socket"], directories))
        system.rmdir(directories.launch)
    except OSError:
        pass  # the next launch removes it
    system.close(lock)


def given(rows: list[dict[str, Any]], what: str) -> Iterator[int]:
    """Yield the "uid" or "gid", which is WHAT, that the operations ROWS give the VM's process."""
    for row in rows:
        if row.get("call") in MEANT[what]:
            yield row["args"][MEANT[what][row["call"]]]


def make(path: str, group: int | None = None) -> int:
    """Make the directory PATH, in a runtime directory that is this user's, and return its lock;
    raises LaunchError. A runtime directory that is unused, as one that was made just now, lets the
    GROUP through, which sees no names in it; another one stays as it is."""
    runtime = system.dirname(path)
    try:
        if group is not None and is_unused(runtime):
            _open_to(runtime, group)
        return _made(path)
    except OSError as error:
        raise _none(error) from None


def _none(error: OSError) -> LaunchError:
    return LaunchError(f"the launch has no directory of its own: {why(error)}")


def _open_to(runtime: str, group: int) -> None:
    handle = system.open(runtime, _OPENED)
    try:
        system.fchown(handle, -1, group)
        system.fchmod(handle, 0o710)
    finally:
        system.close(handle)


def _made(path: str) -> int:
    """Make the directory PATH and return it, locked; raises OSError. Another launch may take it for
    a dead one's before it is locked, and remove it: then it is made again."""
    for _ in range(_TRIES):
        system.mkdir(path, MODE)
        handle = opened(path)
        if handle < 0:
            try:
                system.rmdir(path)
            except FileNotFoundError:
                continue
            # As by an access control list that new directories there have.
            raise OSError(_EACCES, "it was made and cannot be opened")
        locked(handle, _LOCK_EX)
        if is_at(handle, path):
            return handle
        system.close(handle)
    raise OSError(_EEXIST, system.strerror(_EEXIST))


def opened(path: str, above: int | None = None) -> int:
    """Return the directory PATH, in the directory ABOVE where that is given; -1 for none."""
    try:
        return system.open(path, _OPENED, dir_fd=above)
    except OSError:
        return -1


def locked(handle: int, how: int) -> bool:
    # It fails where a living launch has it, and on a file system without locks.
    return not libc.flock(handle, how)


def is_at(handle: int, path: str) -> bool:
    try:
        found = system.lstat(path)
    except OSError:
        return False
    mine = system.fstat(handle)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _listen(path: str) -> int:
    name = system.fsencode(path)
    if len(name) + 3 > _SOCKADDR:
        raise LaunchError(
            f"there is no socket for the stage: {plain(path)}: choose a shorter --runtime-dir"
        )
    address = ffi.new("uint8_t[]", _UNIX.to_bytes(2, "little") + name + b"\0")
    handle = int(libc.socket(_UNIX, _STREAM | _CLOEXEC | _NONBLOCK, 0))
    if handle < 0 or libc.bind(handle, address, len(name) + 3) or libc.listen(handle, 1):
        said = system.strerror(ffi.errno).lower()
        if handle >= 0:
            system.close(handle)
        raise LaunchError(f"there is no socket for the stage: {said}")
    return handle
