"""The exit record: how a launch ended, as JSON, for the program that started it."""

from __future__ import annotations

from _json import encode_basestring_ascii as text

from krunc_launcher import system
from krunc_launcher._rules import VERSION
from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.paths import Directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from krunc_launcher.supervise.end import End

FORMAT = 1
_HEAD = '{"krunc_exit": '


def require(paths: Iterable[str]) -> None:
    """Raise LaunchError for those of PATHS that `write` would leave as they are: what is there
    might be a plan, or a disk."""
    taken = []
    for path in paths:
        try:
            _is_written_into(path)
        except OSError as error:
            taken.append(f"the exit record {plain(path)} cannot be written: {why(error)}")
    if taken:
        raise LaunchError(*taken)


def write(path: str, end: End) -> None:
    """Write the record of END to the file PATH, whole or not at all, and only over another record
    or an empty file, or into a pipe, a device or an open file; raises OSError."""
    fields = {
        "krunc": text(VERSION),
        "status": str(end.exit_status()),
        "reason": text(end.reason),
        "signal": str(end.signal) if end.signal else "null",
        "message": text("; ".join(end.words)),
        "program_seen": {None: "null", True: "true", False: "false"}[end.program_seen],
        "ended_by": text(end.ended_by) if end.ended_by else "null",
        "start_s": f"{end.start_s:.3f}",
        "started_s": "null" if end.started_s is None else f"{end.started_s:.3f}",
        "run_s": "null" if end.run_s is None else f"{end.run_s:.3f}",
    }
    rest = "".join(f', "{name}": {value}' for name, value in fields.items())
    data = f"{_HEAD}{FORMAT}{rest}}}\n".encode("ascii")
    if _is_written_into(path):
        # A pipe that nobody reads would be waited for without end. An open file has what the guest
        # printed before.
        handle = system.open(
            path,
            system.O_WRONLY
            | system.O_APPEND
            | system.O_CLOEXEC
            | system.O_NONBLOCK
            | system.O_NOCTTY,
        )
        try:
            system.set_blocking(handle, True)
            system.write_all(handle, data)
        finally:
            system.close(handle)
        return
    # A name of its own, which nobody knows before, and which is as short as that of any record.
    made = system.join(system.dirname(path), f".krunc-{system.urandom(8).hex()}")
    handle = system.open(
        made, system.O_WRONLY | system.O_CREAT | system.O_EXCL | system.O_CLOEXEC, 0o644
    )
    try:
        try:
            system.write_all(handle, data)
            system.fsync(handle)
        finally:
            system.close(handle)
        system.replace(made, path)
    except OSError:
        system.unlink(made)
        raise


def _is_written_into(path: str) -> bool:
    """Tell whether a record goes into what PATH leads to, and not into its place: a rename would
    put a file where a pipe, a device or the link /dev/stdout was. Raises OSError where it must do
    neither; what is missing is made."""
    try:
        mode = system.stat(path).st_mode
    except OSError:
        return False
    if system.S_ISFIFO(mode) or system.S_ISCHR(mode):
        return True
    if not system.S_ISREG(mode):
        raise OSError("this is neither a file nor a pipe, a terminal or the like; name another one")
    if _is_open_file(path):
        return True
    handle = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    try:
        head = system.read(handle, len(_HEAD))
    finally:
        system.close(handle)
    if head not in (b"", _HEAD.encode()):
        raise OSError("the file that is there is not an exit record; name another one")
    return False


def _is_open_file(path: str) -> bool:
    """Tell whether PATH, which leads to a file, does so by a link of proc: /dev/stdout is one."""
    try:
        Directories("/", "/").real(system.abspath(path), True)
    except OSError:
        return True
    return False
