"""What is said on the standard streams."""

from __future__ import annotations

import sys

from krunc_launcher.errors import LaunchError, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from krunc_launcher.errors import PlanRefused

_MOST_FINDINGS = 50
_POLLOUT = 4  # asm-generic/poll.h
_PATIENCE_MS = 1000
_patience_ms = [_PATIENCE_MS]


def say(sentences: Iterable[str]) -> None:
    """Say SENTENCES on standard error, each on a line of its own."""
    put("".join(f"krunc: {sentence}\n" for sentence in sentences))


def refuse(path: str, error: PlanRefused | LaunchError) -> list[str]:
    """Say why the plan in the file PATH is not launched; returns the sentences."""
    if isinstance(error, LaunchError):
        say(error.lines)
        return list(error.lines)
    say(error.also)
    report = _report(path, error)
    put(report)
    return [*error.also, *report.removesuffix("\n").split("\n")]


def put(text: str) -> None:
    """Write TEXT to standard error. That nobody takes it ends no VM, and holds none up: a pipe that
    is full is waited for a second, and not at all from then on until it is read again."""
    # What fits into a pipe that takes anything (PIPE_BUF), however it is encoded.
    most = 4096 if text.isascii() else 400
    try:
        for at in range(0, len(text), most):
            if not _takes():
                return
            sys.stderr.write(text[at : at + most])
            sys.stderr.flush()
    except OSError:
        pass


def _takes() -> bool:
    """Tell whether standard error takes something; what is wrong with it, writing tells."""
    from krunc_launcher._krun import ffi, libc  # help has nothing to say

    asked = ffi.new("struct pollfd *", {"fd": 2, "events": _POLLOUT})
    takes = int(libc.poll(asked, 1, _patience_ms[0])) != 0
    _patience_ms[0] = _PATIENCE_MS if takes else 0
    return takes


def _report(name: str, refused: PlanRefused) -> str:
    from krunc_launcher.text.positions import position
    from krunc_launcher.text.reading import title

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
