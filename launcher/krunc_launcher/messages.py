"""What is said on the standard streams."""

from __future__ import annotations

import sys

from krunc_launcher.errors import PlanRefused, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from krunc_launcher.errors import LaunchError

_MOST_FINDINGS = 50


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


def _report(name: str, refused: PlanRefused) -> str:
    from krunc_launcher.plan.reading import title
    from krunc_launcher.positions import position

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
