"""What programs write on a terminal."""

from __future__ import annotations

import pty
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO

from processes import started


@contextmanager
def terminal() -> Iterator[tuple[FileIO, FileIO]]:
    """A terminal: the side of who looks at it, and the side of programs."""
    ours, theirs = pty.openpty()
    with open(ours, "r+b", buffering=0) as one, open(theirs, "r+b", buffering=0) as other:
        yield one, other


def on_terminal(
    command: Sequence[str], env: Mapping[str, str], streams: Sequence[str] = ("stdout", "stderr")
) -> tuple[int, bytes]:
    """The exit status of COMMAND, and all that it writes on the terminal that STREAMS of it are."""
    written = b""
    with ExitStack() as held:
        ours, theirs = held.enter_context(terminal())
        given = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        given |= dict.fromkeys(streams, theirs.fileno())
        process = held.enter_context(started(command, env=env, **given))
        theirs.close()
        with suppress(OSError):  # the last writer is gone
            while piece := ours.read(65536):
                written += piece
        return process.wait(), written
