"""The standard streams, and how a Ctrl-C ends the process."""

from __future__ import annotations

import sys
from _io import TextIOWrapper
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

from krunc_launcher import system


def ready() -> None:
    """Make standard streams take every text, and a Ctrl-C end the process at once.

    A closed descriptor 0, 1 or 2 would be given to the next file opened, to /dev/kvm perhaps.
    Standard output then cannot be written to, so that a result which is lost is an error; a VM gets
    one that takes everything, see `harmless`.
    """
    if getsignal(SIGINT) is default_int_handler:  # else it is to be ignored
        signal(SIGINT, SIG_DFL)
    for descriptor in (0, 1, 2):
        try:
            system.fstat(descriptor)
        except OSError:
            _nothing(system.O_RDONLY if descriptor == 1 else system.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def show(text: str) -> int:
    """Write TEXT on standard output; 1 when that cannot be written to, else 0."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Else the interpreter tries once more when it ends.
        system.dup2(_nothing(system.O_RDWR), 1)
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"krunc: the output cannot be written: {error.strerror}\n")
        return 1
    return 0


def harmless() -> None:
    """Let standard output take everything where nothing can be written to it: a guest may write
    there."""
    try:
        system.write(1, b"")
    except OSError:
        handle = _nothing(system.O_RDWR)
        system.dup2(handle, 1)
        system.close(handle)


def _nothing(flags: int) -> int:
    """Open a file that holds nothing, also where /dev is empty."""
    try:
        return system.open(system.DEVNULL, flags)
    except OSError:
        return system.pipe()[0] if flags == system.O_RDONLY else system.memfd("nothing")
