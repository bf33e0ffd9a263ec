"""The exit record: how a launch ended, as JSON, for the program that started it."""

from __future__ import annotations

import os

from krunc_launcher.errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.supervise.end import End

FORMAT = 1


def write(path: str, end: End) -> None:
    """Write the record of END to the file PATH, as a whole or not at all; raises OSError."""
    fields = {
        "krunc_exit": str(FORMAT),
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
    if os.path.exists(path) and not os.path.isfile(path):
        # A device or a pipe is written to; a rename would put a file in its place.
        # A pipe that nobody reads would be waited for without end.
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            os.set_blocking(handle, True)
            os.write(handle, text.encode("ascii"))
        finally:
            os.close(handle)
        return
    made = f"{path}.{os.getpid()}.tmp"
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(handle, text.encode("ascii"))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(made, path)
    except OSError:
        if os.path.lexists(made):
            os.unlink(made)
        raise
