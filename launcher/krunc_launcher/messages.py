"""What is said on the standard streams, which are made ready for it."""

from __future__ import annotations

import os
import sys
from _io import TextIOWrapper
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

from krunc_launcher.errors import PlanRefused, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from krunc_launcher.errors import LaunchError

_MOST_FINDINGS = 50


def ready() -> None:
    """Make standard streams take every text, and a Ctrl-C end the process at once.

    A closed descriptor 0, 1 or 2 would be given to the next file opened, to /dev/kvm perhaps.
    """
    if getsignal(SIGINT) is default_int_handler:  # else it is to be ignored
        signal(SIGINT, SIG_DFL)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _nothing()
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(sentences: Iterable[str]) -> None:
    """Say SENTENCES on standard error, each on a line of its own."""
    sys.stderr.write("".join(f"krunc: {sentence}\n" for sentence in sentences))


def refuse(path: str, error: PlanRefused | LaunchError) -> None:
    """Say why the plan in the file PATH is not launched."""
    if isinstance(error, PlanRefused):
        say(error.also)
        sys.stderr.write(_report(path, error))
    else:
        say(error.lines)


def tell(text: str) -> int:
    """Write TEXT to standard output; returns 1 when it cannot be written."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Else the interpreter tries once more when it ends.
        os.dup2(_nothing(), 1)
        if not isinstance(error, BrokenPipeError):
            say([f"the output cannot be written: {error.strerror}"])
        return 1
    return 0


def _nothing() -> int:
    """Open a file that takes everything and holds nothing, also where /dev is empty."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:
        return os.memfd_create("nothing")


def _report(name: str, refused: PlanRefused) -> str:
    from krunc_launcher.plan.places import position
    from krunc_launcher.plan.reading import title

    lines = []
    name = title(name)
    for path, sentence in refused.findings[:_MOST_FINDINGS]:
        line, column = refused.place or position(refused.text, path)
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        key = f"{plain(where[1:])}: " if where else ""
        lines.append(f"{plain(name)}:{line}:{column}: {key}{sentence}\n")
    more = len(refused.findings) - len(lines)
    if more:
        lines.append(f"krunc: and {more} more\n")
    return "".join(lines)
