"""What was found out about a root of the store, remembered for the next launch."""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.paths import Directories


def remember(directories: Directories) -> None:
    """Write down which files of the store were compared with their names; where that cannot be, the
    next launch compares them again."""
    for path, record in directories.hashed:
        made = f"{path}.{system.getpid()}"
        flags = system.O_WRONLY | system.O_CREAT | system.O_EXCL | system.O_NOFOLLOW
        try:
            handle = directories.open(made, flags, 0o444)
        except OSError:
            continue  # another user's store
        try:
            system.write_all(handle, record.encode("ascii"))
            system.replace(made, path)
        except OSError:
            system.unlink(made)
        finally:
            system.close(handle)
