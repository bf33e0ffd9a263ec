"""The directory that is the guest's root, as the plan has it, and what is laid over it."""

from __future__ import annotations

from krunc_launcher._rules import GUEST_CONFIGURATION, MEANT, OPENING
from krunc_launcher.errors import plain
from krunc_launcher.plan.sequence import content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

_TAGS = "virtiofs tag"  # the space of names in the table


def root_of(done: list[Operation], tag: str = GUEST_CONFIGURATION["fs_tag"]) -> str:
    """Return the directory that the guest gets by TAG; empty when its root is on a disk."""
    return _shared(done, tag)[0]


def overwritten(done: list[Operation], directories: Directories) -> Iterator[str]:
    """Tell that the guest writes its root by another directory of the plan, where the plan has that
    nothing of it reaches the host's. By what the directories are: a link may lead to one."""
    if not directories.written:
        return
    share = next((one for one in done if one.name == "root_share"), None)
    tag = GUEST_CONFIGURATION["fs_tag"] if share is None else share.argument("tag")
    root, how = _shared(done, tag)
    if how != "read":
        return
    try:
        is_written = directories.is_written_by_own(root)
    except OSError:
        return  # the condition of the directory tells why
    if is_written:
        yield (
            f"the guest's root {plain(root)} is read-only, and another share lets the guest "
            "write it; share a directory outside of the root, or copy the root"
        )


def _shared(done: list[Operation], tag: str) -> tuple[str, str]:
    """Return the directory that the guest gets by TAG, and how; empty when it gets none."""
    for operation in done:
        if operation.name not in OPENING:
            continue
        rule = operation.rule
        tags = [name for space, name in rule.get("takes", ()) if space == _TAGS]
        for param, value in zip(rule["params"], operation.values, strict=True):
            if param.get("unique") == _TAGS:
                tags.append(value)
        if tag in tags:
            for param, path, how in operation.opens():
                if param.get("target") == "directory":
                    return str(path), how
    return "", ""


def laid(plan: dict[str, Any], tag: str) -> list[str]:
    """Return where a call lays something over the directory that has TAG."""
    places = MEANT["laid_at"]
    return [
        row["args"][places[name]]
        for row in plan["operations"]
        if (name := row.get("call")) in places
        and row["args"][MEANT["laid_in"][name]] == tag
        and process(row) is None
    ]


def process(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the program in the configuration file that a call lays over the root; None for
    another."""
    data = content(row)
    return data[1].get("process") if data is not None else None
