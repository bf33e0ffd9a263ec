"""The exit record: how a launch ended, as JSON, for the program that started it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import VERSION
from krunc_launcher.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.supervise.end import End

FORMAT = 1


def write(path: str, end: End) -> None:
    """Write the record of END to the file PATH, as a whole or not at all; raises OSError."""
    fields = {
        "krunc_exit": str(FORMAT),
        "krunc": quoted(VERSION),
        "status": str(end.exit_status()),
        "reason": quoted(end.reason),
        "signal": str(end.signal) if end.signal else "null",
        "message": quoted("; ".join(end.words)),
        "program_seen": {None: "null", True: "true", False: "false"}[end.program_seen],
        "ended_by": quoted(end.ended_by) if end.ended_by else "null",
        "start_s": f"{end.start_s:.3f}",
        "started_s": "null" if end.started_s is None else f"{end.started_s:.3f}",
        "run_s": "null" if end.run_s is None else f"{end.run_s:.3f}",
    }
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}\n"
    if system.exists(path) and not system.isfile(path):
        # A device or a pipe is written to; a rename would put a file in its place.
        # A pipe that nobody reads would be waited for without end.
        handle = system.open(
            path, system.O_WRONLY | system.O_CLOEXEC | system.O_NONBLOCK | system.O_NOCTTY
        )
        try:
            system.set_blocking(handle, True)
            system.write(handle, text.encode("ascii"))
        finally:
            system.close(handle)
        return
    made = f"{path}.{system.getpid()}.tmp"
    try:
        handle = system.open(
            made, system.O_WRONLY | system.O_CREAT | system.O_EXCL | system.O_CLOEXEC, 0o644
        )
        try:
            system.write(handle, text.encode("ascii"))
            system.fsync(handle)
        finally:
            system.close(handle)
        system.replace(made, path)
    except OSError:
        if system.lexists(made):
            system.unlink(made)
        raise
