"""Where on the host the guest's root is: by whatever name an operation gives it, and by any call
that attaches it."""

from __future__ import annotations

from collections.abc import Sequence

from krunc_compiler.files.hostpath import LAUNCH, may_lie_in
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.facts.guest_devices import disk_of, guest_devices
from krunc_compiler.review.facts.storage import ROOT_TAG

# What a firmware finds its root on.
_ANY_DISK = "any disk"


def written_root(facts: Sequence[Fact], operations: Sequence[Ordered]) -> Fact | None:
    """Return the first of FACTS by which the guest, or libkrun for it, can write to the directory
    or disk that is its root, to a part of it, or to a directory that holds it."""
    roots = _roots(operations)
    for fact in facts if roots else ():
        for reach in fact.reach:
            if _writes(reach) and any(_touches(reach, root) for root in roots):
                return fact
    return None


def _writes(reach: Reach) -> bool:
    """Tell whether something at a path of the host is written or made by REACH."""
    match reach.verb:
        case "write":
            return True
        case "device":
            return reach.noun == "write"
        case "listen":
            return reach.noun not in ("TCP port", "UDP port")
    return False


def _touches(reach: Reach, root: str) -> bool:
    path = reach.target
    if not isinstance(path, str):
        return False
    # A file or disk holds no other path.
    holds = reach.noun == "directory" and may_lie_in(root, path)
    return holds or may_lie_in(path, root)


def _roots(operations: Sequence[Ordered]) -> set[str]:
    """Return the paths of the host that are, or can be, the guest's root."""
    named = {ROOT_TAG, *filter(None, (row.once(_named) for row in operations))}
    devices = guest_devices(operations)
    found = set()
    for index, row in enumerate(operations):
        tag, path = row.once(_attached)
        # The directory that the stage starts in is the root of no program.
        if path and not path.startswith(LAUNCH):
            names = {tag} if tag else {devices.get(index), _ANY_DISK}
            if not named.isdisjoint(names):
                found.add(path)
    return found


def _named(row: Ordered) -> str | None:
    """Return the tag or the device that ROW makes the root."""
    match row.name:
        case "root_share":
            return str(row.args["tag"])
        case "root_disk" | "krun_set_root_disk_remount":
            return disk_of(str(row.args["device"]))
        case "krun_set_firmware":
            return _ANY_DISK
    return None


def _attached(row: Ordered) -> tuple[str, str]:
    """Return the tag and the path of what ROW attaches: a disk has no tag, but for the disk that is
    the root by its call alone."""
    args = row.args if row.kind == "call" else {}
    if "root_path" in args:
        return ROOT_TAG, str(args["root_path"])
    if "tag" in args and "path" in args:
        return str(args["tag"]), str(args["path"])
    if "disk_path" in args:
        return ROOT_TAG if row.name == "krun_set_root_disk" else "", str(args["disk_path"])
    return "", ""
