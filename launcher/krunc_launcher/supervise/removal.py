"""Removes the directory of a launch, also the next launch's when its own was killed: nothing here
follows a link or leaves a directory's file system, and what another user has, or no launch has
made, stays, whatever it is called. What a guest has closed to its owner is opened, and goes."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why
from krunc_launcher.paths import LAUNCH_NAME, LOOK
from krunc_launcher.supervise.launch_directory import CONTENT, MODE, is_at, locked, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_LOCK_EX, _LOCK_NB = 2, 4  # asm-generic/fcntl.h
_CLOSED = LOOK | system.O_DIRECTORY | system.O_NOFOLLOW | system.O_CLOEXEC
# So many directories and other names are removed at once. A launch leaves some ten; what is more is
# a guest's, of which other VMs and signals do not wait for the end.
_AT_ONCE = 500
# What waits there for its removal is called so: a launch can be killed meanwhile.
_WAITING = ".removed-"
_MOUNTED = "something is mounted on"


def remove(path: str, lock: int) -> list[str]:
    """Remove the directory PATH with what is in it, and give LOCK up. What cannot be removed
    stays, which is told; what is much goes on being removed by a process of its own."""
    told = _remove(path, lock)
    system.close(lock)
    return told


def remove_dead(runtime: str, owners: set[int]) -> list[str]:
    """Remove the directories in RUNTIME of launches that were killed, as far as one of OWNERS has
    them: those that no living launch has locked. What stays is told."""
    told: list[str] = []
    try:
        names = system.listdir(runtime)
    except OSError:
        return told  # it may be written and not read
    for name in names:
        if not _is_of_a_launch(name):
            continue
        path = system.join(runtime, name)
        handle = opened(path)
        if handle < 0:
            continue
        if (
            _is_marked(handle, owners)
            and locked(handle, _LOCK_EX | _LOCK_NB)
            and is_at(handle, path)
            and _has_no_other(handle)
        ):
            told += _remove(path, handle)
        system.close(handle)
    return told


def _is_of_a_launch(name: str) -> bool:
    start, _, number = name.rpartition("-")
    return f"{start}-" == LAUNCH_NAME and len(number) == 12 and not number.strip("0123456789abcdef")


def _is_marked(handle: int, owners: set[int]) -> bool:
    """Tell whether the directory HANDLE is one of OWNERS', as a launch makes its own."""
    status = system.fstat(handle)
    # mkdir(2): below a directory with the bit of its group a new one has it, too.
    return status.st_uid in owners and status.st_mode & 0o5777 == MODE


def _has_no_other(handle: int) -> bool:
    """Tell whether the directory HANDLE has nothing that a launch does not put there."""
    try:
        with system.scandir(handle) as entries:
            return all(one.name in CONTENT or one.name.startswith(_WAITING) for one in entries)
    except OSError:
        return False


def _remove(path: str, top: int) -> list[str]:
    """Remove the directory PATH, open as TOP; what is much, by another process. Tells what keeps it
    from being removed; what keeps the other process from it, the next launch tells."""
    kept: list[str] = []
    names = _removing(path, top, kept)
    for _ in range(_AT_ONCE):
        if next(names, None) is None:
            return [f"{plain(path)} stays: {kept[0]}; remove it by hand"] if kept else []
    names.close()
    try:
        if system.fork():
            return []
    except OSError:
        return []  # the next launch removes it
    try:
        # Whoever reads what the launch says does not wait for this.
        system.closerange(0, top)
        system.closerange(top + 1, 1 << 20)
        for _ in _removing(path, top, kept):
            pass
    finally:
        system._exit(0)


def _removing(path: str, top: int, kept: list[str]) -> Generator[str, None, None]:
    """Remove the directory PATH, open as TOP, name by name, which are told. What it holds in
    directories comes up to it first: however deep they are, two are open at once. KEPT learns of
    what stays."""
    launch = system.fstat(top)
    waiting: list[str] = []
    yield from _emptied(top, waiting, kept)
    prefix, count = _WAITING + system.urandom(6).hex(), 0  # no name that is there
    while waiting:
        name = waiting.pop()
        inner = opened_to_change(name, top)
        if inner < 0:
            continue
        below: list[str] = []
        try:
            status = system.fstat(inner)
            count += 1
            mine = name if name.startswith(prefix) else f"{prefix}{count}"
            if status.st_dev != launch.st_dev:
                _keep(kept, f"{_MOUNTED} {plain(name)} in it")
            elif not _is_of(launch, status):
                _keep(kept, f"user {status.st_uid} has {plain(name)} in it")
            elif mine != name and not _has_come_up(name, top, mine, top):
                _keep(kept, f"{_MOUNTED} {plain(name)} in it")
            else:
                name = mine
                yield from _emptied(inner, below, kept)
            for one in below:
                count += 1
                if _has_come_up(one, inner, f"{prefix}{count}", top):
                    waiting.append(f"{prefix}{count}")
                else:
                    _keep(kept, f"{_MOUNTED} {plain(one)} in it")
                yield one
        finally:
            system.close(inner)
        try:
            system.rmdir(name, dir_fd=top)
        except OSError:
            pass
    try:
        system.rmdir(path)
    except OSError as error:
        _keep(kept, why(error))
    else:
        kept.clear()  # others were quicker


def _keep(kept: list[str], why: str) -> None:
    """Note WHY something is KEPT: the first reason, for a guest may give any number."""
    if not kept:
        kept.append(why)


def _has_come_up(name: str, inner: int, waiting: str, top: int) -> bool:
    """Move the directory NAME from the directory INNER to the directory TOP, there called WAITING;
    a mount stays."""
    for _ in range(2):
        try:
            system.replace(name, waiting, src_dir_fd=inner, dst_dir_fd=top)
        except OSError:
            # rename(2): one that may not be written does not move, for it names what it is in.
            handle = opened_to_change(name, inner)
            if handle >= 0:
                system.close(handle)
        else:
            return True
    return False


def opened_to_change(name: str, above: int) -> int:
    """Return the directory NAME in the directory ABOVE, which its owner may read and change from
    now on where it may be emptied; -1 for none."""
    handle = opened(name, above)
    try:
        found = handle if handle >= 0 else system.open(name, _CLOSED, dir_fd=above)
        try:
            status = system.fstat(found)
            if status.st_mode & 0o700 != 0o700 and _is_of(system.fstat(above), status):
                system.chmod(f"/proc/self/fd/{found}", 0o700)
        finally:
            if found != handle:
                system.close(found)
    except OSError:
        pass  # another user's
    return handle if handle >= 0 else opened(name, above)


def _is_of(launch: system.stat_result, inner: system.stat_result) -> bool:
    """Tell whether the directory INNER may be emptied, for LAUNCH or one in it: the user of a VM,
    who may bring anything there, has only its own removed by a launcher that may remove more."""
    is_theirs = launch.st_uid in (inner.st_uid, system.geteuid())
    return is_theirs and inner.st_dev == launch.st_dev


def _emptied(handle: int, directories: list[str], kept: list[str]) -> Iterator[str]:
    """Remove what the directory HANDLE holds, name by name, which are told, but for DIRECTORIES,
    which learns of their names, and for what is KEPT from that."""
    try:
        # Piece by piece: a list of a million names takes half a second to make.
        with system.scandir(handle) as entries:
            for entry in entries:
                name = entry.name
                try:
                    system.unlink(name, dir_fd=handle)
                except IsADirectoryError:
                    directories.append(name)
                except OSError as error:
                    _keep(kept, f"{plain(name)} in it: {why(error)}")
                yield name
    except OSError as error:
        _keep(kept, why(error))
