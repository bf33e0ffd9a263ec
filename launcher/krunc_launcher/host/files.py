"""What a plan's files, directories and devices of the host must be, and where files can be made."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import LaunchError, plain, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from krunc_launcher.options import Options
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

_ELOOP = 40  # asm-generic/errno.h


def not_a_directory(operation: Operation, directories: Directories) -> Iterator[str]:
    """Tell why what a step demands is no directory that may be used as it says."""
    yield from _kind(operation, "directory", system.S_ISDIR, directories)


def not_a_file(operation: Operation, directories: Directories) -> Iterator[str]:
    """Tell why what a step demands is no file, or block device, that may be used as it says."""
    yield from _kind(operation, "file or block device", _is_image, directories)


def _is_image(mode: int) -> bool:
    return system.S_ISREG(mode) or system.S_ISBLK(mode)


def _kind(
    operation: Operation, kind: str, fits: Callable[[int], bool], directories: Directories
) -> Iterator[str]:
    path, access = operation.argument("path"), operation.argument("access").c
    try:
        mode = directories.status(path).st_mode
    except OSError as error:
        yield f"{plain(path)}: {why(error)}; expected a {kind}"
        return
    if not fits(mode):
        yield f"{plain(path)} is not a {kind}"
        return
    wanted = system.R_OK | (system.W_OK if access == "read-write" else 0)
    if system.S_ISDIR(mode):
        wanted |= system.X_OK
    if not system.access(path, wanted):
        need = "read" if access == "read" else "read and write"
        yield f"{plain(path)}: you (uid {system.geteuid()}) cannot {need} it"


def not_a_device(operation: Operation, directories: Directories) -> Iterator[str]:
    """Tell why what a step opens is no device that may be used as it says."""
    yield from _kind(operation, "device", system.S_ISCHR, directories)


def not_to_be_opened(operation: Operation, directories: Directories) -> Iterator[str]:
    """Tell why a step cannot make or empty its file."""
    yield from unwritable(operation.argument("path"), directories)


def unwritable(path: str, directories: Directories) -> Iterator[str]:
    """Tell why the file PATH cannot be made or emptied."""
    try:
        # A link could lead the launcher to empty another file.
        status = directories.status(path, follow=False)
    except (FileNotFoundError, NotADirectoryError):
        yield from no_place(path, "file", directories)
    except OSError as error:
        yield f"{plain(path)}: {why(error)}"
    else:
        problem = not_for_output(path, status)
        if problem:
            yield problem
        elif not system.access(path, system.W_OK):
            yield f"{plain(path)}: you (uid {system.geteuid()}) cannot write it"


def not_for_output(path: str, status: system.stat_result) -> str:
    """Tell why the file PATH, of which STATUS tells, must not be emptied; empty where it may be."""
    if not system.S_ISREG(status.st_mode):
        return f"{plain(path)} is not a regular file"
    if status.st_nlink > 1:
        # A guest that may write the directory can have linked a file there that it may not write.
        return (
            f"{plain(path)} has {status.st_nlink} names (hard links), and emptying it would empty "
            "what the others name, too; remove this one"
        )
    return ""


def left_to_guests(option: str, directory: str, directories: Directories) -> str:
    """Tell why the launcher must not write files in DIRECTORY, which OPTION names: a guest could
    have them lead elsewhere; empty where none can."""
    try:
        if not directories.is_written(system.join(system.abspath(directory), "file"), follow=False):
            return ""
    except OSError as error:
        if error.errno != _ELOOP:
            return ""  # who opens it tells
    return (
        f"{option}: a guest of this launch may write {plain(directory)}, and could put a link "
        "there; name a directory that no guest may write"
    )


def check_record(record: str, options: Options, directories: Directories) -> None:
    """Raise LaunchError where a guest could have the exit record RECORD written elsewhere. OPTIONS
    name none then: it does not tell of this, either."""
    problem = left_to_guests("--exit-record", system.dirname(record) or ".", directories)
    if problem:
        options.exit_record = None
        raise LaunchError(problem)


def no_place(path: str, what: str, directories: Directories) -> Iterator[str]:
    """Tell why PATH cannot be made in its directory. A missing runtime directory is made by a
    step."""
    parent = system.dirname(path)
    if not directories.is_directory(parent):
        if parent != directories.runtime:
            yield f"{plain(parent)}: there is no such directory for the {what}"
    elif not system.access(parent, system.W_OK | system.X_OK):
        yield f"{plain(parent)}: you (uid {system.geteuid()}) cannot make a {what} in it"
