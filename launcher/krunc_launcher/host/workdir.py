"""The directory that the guest's program starts in, as far as the guest's root shows it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import GUEST_CONFIGURATION, MEANT, MOUNTS, NAMES
from krunc_launcher.errors import plain
from krunc_launcher.host.executable import Root
from krunc_launcher.host.root import laid, process, root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.host.program import Obstacle
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# The orders by which a directory that the root has not may be there: a script, an earlier launch's
# changes, another root.
_MAKING = frozenset(("before", "keep_changes", "root_disk"))


def missing_workdir(
    plan: dict[str, Any], done: list[Operation], directories: Directories
) -> list[Obstacle]:
    """Tell why the guest's program cannot start in its directory: libkrun 1.x then starts it in
    another one without a word. Only a directory that the root has to have is looked for: none that
    a mount may make, a script, or an earlier launch."""
    workdir = origin = ""
    tag, made = GUEST_CONFIGURATION["fs_tag"], list[str]()
    for row in plan["operations"]:
        name = row.get("call") or row.get("order")
        if name == "workdir" or name in MEANT["workdir"]:
            parameter = MEANT["workdir"].get(name, "workdir_path")
            workdir, origin = row["args"][parameter], row["from"]
        elif name in MEANT["laid_at"] and (started := process(row)) is not None:
            workdir, origin = started["cwd"], row["from"]
        elif name in _MAKING:
            return []
        elif name == "root_share":
            tag = row["args"]["tag"]
        elif name in MOUNTS:
            made.append(row["args"]["path"])
    if workdir in ("", "/"):
        return []
    hidden = set(NAMES["guest_own"].split())
    for place in [*made, *laid(plan, tag)]:
        path = system.normpath("/" + place.lstrip("/"))
        while path != "/":
            hidden.add(path)
            path = system.dirname(path)
    root = root_of(done, tag)
    try:
        handle = directories.open(root, system.O_PATH | system.O_DIRECTORY) if root else -1
    except OSError:
        return []  # the condition of the directory tells why
    if handle < 0:
        return []
    try:
        if system.S_ISDIR(Root(handle, hidden).mode(workdir)):
            return []
    except OSError:
        return []  # it cannot be told
    finally:
        system.close(handle)
    told = f"{plain(workdir)} is not a directory in the guest's root {plain(root)}"
    return [(told, "make it", origin)]
