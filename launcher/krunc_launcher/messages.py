"""What is said on the standard streams."""

from __future__ import annotations

import sys

from krunc_launcher.errors import LaunchError, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from krunc_launcher.errors import PlanRefused

_MOST_FINDINGS = 50


def say(sentences: Iterable[str]) -> None:
    """Say SENTENCES on standard error, each on a line of its own."""
    _err("".join(f"krunc: {sentence}\n" for sentence in sentences))


def refuse(path: str, error: PlanRefused | LaunchError) -> list[str]:
    """Say why the plan in the file PATH is not launched; returns the sentences."""
    if isinstance(error, LaunchError):
        say(error.lines)
        return list(error.lines)
    say(error.also)
    report = _report(path, error)
    _err(report)
    return [*error.also, *report.splitlines()]


def _err(text: str) -> None:
    """Write TEXT to standard error. That nobody takes it ends no VM."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


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
