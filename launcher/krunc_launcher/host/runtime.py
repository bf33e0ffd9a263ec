"""Whether the runtime directory is this user's alone, and whether another user of the host, whom
the VM's process becomes, reaches what is in it: libkrun opens the stage as that user, and hangs
where it cannot."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why
from krunc_launcher.paths import LOOK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories


def runtime_directory(directories: Directories) -> Iterator[str]:
    """Tell why the runtime directory, where it or its parent exists, is not this user's alone."""
    path = directories.runtime
    above, mine = "", (system.geteuid(), 0)
    for directory in (system.dirname(path), path):
        try:
            status = system.lstat(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{plain(directory)}: {why(error)}"
            return
        # In a directory such as /tmp nobody else replaces what this user has made; in the runtime
        # directory itself they could be first, and have the console's file or a socket.
        is_shared = status.st_mode & system.S_ISVTX and directory != path
        others = status.st_mode & 0o022 and not is_shared
        if not system.S_ISDIR(status.st_mode):
            yield f"{plain(directory)} is not a directory; choose another with --runtime-dir"
        elif status.st_uid not in mine:
            yield f"{plain(directory)} belongs to uid {status.st_uid}; use another --runtime-dir"
        elif others:
            yield f"{plain(directory)} may be written by others; chmod 700 it, or use --runtime-dir"
        if not system.S_ISDIR(status.st_mode):
            return
        above = directory
    if not above:
        above = system.dirname(path)
        while not system.lexists(above):
            above = system.dirname(above)
    try:
        system.close(directories.open(above, LOOK))
    except OSError as error:
        yield f"the runtime directory {plain(path)}: {why(error)}"
        return
    if not system.access(above, system.W_OK | system.X_OK):
        what = "is closed to you" if above == path else f"cannot be made in {plain(above)}"
        yield (
            f"the runtime directory {plain(path)} {what} (uid {system.geteuid()}), or its file "
            "system is read-only; choose another with --runtime-dir"
        )


def exposed(directories: Directories) -> Iterator[str]:
    """Tell why a guest gets the runtime directory: the orders of other VMs are there, with their
    secrets, and the stage, which they start with."""
    try:
        if not directories.is_shared(directories.real(directories.runtime, True)):
            return
        is_written = directories.is_written(directories.launch)
    except OSError:
        return  # which runtime_directory tells
    what = "write to, who could replace krunc's first program there"
    yield (
        f"the runtime directory {plain(directories.runtime)} is in a directory that a guest may "
        f"{what if is_written else 'read, and with it the secrets of other VMs'}; share less, or "
        "choose another with --runtime-dir"
    )


def is_unused(directory: str) -> bool:
    """Tell whether nobody has a use for DIRECTORY yet: it is there, this user's alone, and
    empty, as krunc makes it, or systemd by RuntimeDirectory=."""
    try:
        status = system.lstat(directory)
        is_private = status.st_uid == system.geteuid() and status.st_mode & 0o7777 == 0o700
        return is_private and system.S_ISDIR(status.st_mode) and not system.listdir(directory)
    except OSError:
        return False


def closed(runtime: str, uid: int, gid: int) -> Iterator[str]:
    """Yield the directory, RUNTIME or one above it, that UID of GID may not enter."""
    path = system.dirname(runtime) if is_unused(runtime) else runtime
    while uid:
        try:
            status = system.stat(path)
        except OSError:
            pass  # it is made, for all
        else:
            place = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
            if not status.st_mode >> place & 1:
                yield (
                    f"{plain(path)} is closed to uid {uid} of run_as, who has to reach the stage "
                    f"in the runtime directory: let group {gid} through it (chmod g+x), or choose "
                    "another with --runtime-dir"
                )
                return
        if path in ("/", ""):
            return
        path = system.dirname(path)
