"""The one place that opens files of the host for what a guest writes: consoles, and VMs' logs."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import LaunchError, asked_by, plain, why
from krunc_launcher.host.emptied import kept_from
from krunc_launcher.vm.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.paths import Directories


def output(path: str, directories: Directories, notes: int, origin: str = "", more: int = 0) -> int:
    """Open the file PATH with the flags MORE, and empty it: a descriptor that keeps all other VMs
    from it. ORIGIN is the key of the box. NOTES is told which file it is. Raises LaunchError."""
    # A FIFO in its place must not keep anybody waiting.
    flags = system.O_WRONLY | system.O_CREAT | system.O_NOFOLLOW | system.O_NONBLOCK | more
    try:
        real, handle = directories.real(path), directories.open(path, flags, 0o600)
    except OSError as error:
        raise LaunchError(f"{plain(path)}: {why(error)}{asked_by(origin)}") from None
    status = system.fstat(handle)
    # Not by O_TRUNC: what it is now tells only the open descriptor.
    for problem in kept_from(handle, path, status):
        raise LaunchError(f"{problem}{asked_by(origin)}")
    system.ftruncate(handle, 0)
    system.set_blocking(handle, True)
    note(notes, f"writes {status.st_dev} {status.st_ino} {real}")
    return handle
