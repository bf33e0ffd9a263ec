"""What of the host the guest's program starts from: the file that libkrun opens, and its
directory."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi
from krunc_launcher._rules import GUEST_CONFIGURATION, MEANT, MOUNTS, NAMES, OPENING
from krunc_launcher.errors import asked_by, plain
from krunc_launcher.host.executable import Root
from krunc_launcher.host.root import laid, process, root_of
from krunc_launcher.host.workdir import missing_workdir
from krunc_launcher.paths import IN_ROOT, openat2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

    # Why the guest's program cannot start: what is wrong, what to do, and the key of the box that
    # asks for it.
    Obstacle = tuple[str, str, str]

_ENOENT = 2  # asm-generic/errno-base.h
_TAGS = "virtiofs tag"  # the space of names in the table
# What takes the place of libkrun's init and kernel may start the program in its own way.
_OWN_WAY = frozenset(("init", "kernel"))
# What libkrun's init mounts, and the stage.
_OF_THE_GUEST = NAMES["guest_own"].split()
# The orders with which the guest can change its root, wherever that comes from.
_CHANGED = frozenset(("discard_changes", "keep_changes"))
# What the guest calls its disks, in the order of their calls.
_DISKS, _LETTERS = "/dev/vd", "abcdefghijklmnopqrstuvwxyz"


def program(
    plan: dict[str, Any], done: list[Operation], directories: Directories
) -> tuple[str, str]:
    """Return the directory that is the guest's root, and the guest's program; empty where the
    program's file cannot be told.

    It cannot for a root on a disk, a program that another thing than libkrun's init starts or that
    is looked for in PATH, and files that an overlay may hide. With the stage, which reports the
    program's start itself, nobody looks at the file.
    """
    for operation in done:
        if operation.kind == "order":
            return "", ""
    rows = plan["operations"]
    if not _OWN_WAY.issubset([row.get("implicit") for row in rows]) or sys.platform != "linux":
        return "", ""
    path = ""
    for row in rows:
        name = row.get("call")
        if name in MEANT["laid_at"]:
            started = process(row)
            if started is not None:
                path = started["args"][0]
        elif name in MEANT["program"]:
            path = row["args"][MEANT["program"][name]]
    root = root_of(done)
    over = laid(plan, GUEST_CONFIGURATION["fs_tag"])
    if not root or not path.startswith("/") or any(_hides(root, one, directories) for one in over):
        return "", ""
    return root, path


def _hides(root: str, path: str, directories: Directories) -> bool:
    """Tell whether what is laid at PATH of ROOT may hide something of it, and so the program."""
    found = _within(root, path, directories)
    if found >= 0:
        system.close(found)
        return True
    return bool(ffi.errno != _ENOENT)


def opened(root: str, path: str, directories: Directories) -> int:
    """Return the file of the program PATH below ROOT, as a descriptor that is opened; -1 for
    none."""
    return _within(root, path, directories) if root else -1


def sentence(obstacle: Obstacle) -> str:
    """Return OBSTACLE for a person."""
    what, fix, origin = obstacle
    return f"{what}; {fix}{asked_by(origin)}"


def unstarted(
    plan: dict[str, Any], done: list[Operation], directories: Directories
) -> list[Obstacle]:
    """Tell why the guest's program cannot start, as far as the directory that is its root decides
    it: for those who launch nothing."""
    starts_from = program(plan, done, directories)
    return [
        *missing_workdir(plan, done, directories),
        *unstartable(plan, done, directories, starts_from),
    ]


def of_root(
    plan: dict[str, Any],
    done: list[Operation],
    directories: Directories,
    starts_from: tuple[str, str],
) -> list[str]:
    """Tell a person all that is wrong with the guest's root. STARTS_FROM is what `program`
    returns."""
    obstacles = [
        *missing_workdir(plan, done, directories),
        *unstartable(plan, done, directories, starts_from),
    ]
    return [*[sentence(one) for one in obstacles], *unmountable(plan, done, directories)]


def unstartable(
    plan: dict[str, Any],
    done: list[Operation],
    directories: Directories,
    starts_from: tuple[str, str],
) -> list[Obstacle]:
    """Tell why the guest's program cannot be started from a root that is a directory or an image,
    as far as that alone decides it; of a program that a script may change, why the script cannot.
    STARTS_FROM is what `program` returns."""
    listed = [operation for operation in done if operation.kind == "order"]
    orders = {operation.name: operation for operation in listed}
    hidden = set(_OF_THE_GUEST)
    search: list[str] = []
    image = what = ""
    if orders:
        from krunc_launcher._stage_rules import STAGE

        if "keep_changes" in orders:
            return []  # the disk with changes may have it
        starts = orders["program"]
        path, origin = starts.argument("exec_path"), starts.origin
        hidden.update(system.normpath(one.argument("path")) for one in listed if one.name in MOUNTS)
        if "before" in orders:
            what, path, origin = "script before the ", "/bin/sh", orders["before"].origin
        elif "/" not in path:
            paths = [given for given in starts.argument("envp") if given.name == "PATH"]
            if any(given.secret for given in paths):
                return []
            search = (paths[-1].text if paths else STAGE["search"]).split(":")
        elif not path.startswith("/"):
            path = system.join(orders["workdir"].argument("workdir_path"), path)
        if "root_share" in orders:
            tag = orders["root_share"].argument("tag")
            root = root_of(done, tag)
            if any(_hides(root, one, directories) for one in laid(plan, tag)):
                return []
        else:
            root, image = _image(orders["root_disk"], done)
    else:
        root, path = starts_from
        origin = next((one.origin for one in done if one.name in MEANT["program"]), "entrypoint")
    how = system.O_PATH | system.O_DIRECTORY
    if image:
        how = system.O_RDONLY | system.O_NOFOLLOW | system.O_NONBLOCK
    try:
        handle = directories.open(root, how) if root else -1
    except OSError:
        return []  # the condition of the directory or image tells why
    if handle < 0:
        return []
    try:
        if image:
            from krunc_launcher.host.image_root import ImageRoot

            seen: Root = ImageRoot(handle, hidden)
        else:
            seen = Root(handle, hidden)
        why = seen.why_not(path, search)
    except OSError:
        return []  # it cannot be told
    finally:
        system.close(handle)
    if not why:
        return []
    told = (
        f"the guest's {what}program cannot be started from its root {plain(image or root)}: {why}"
    )
    way = "take another image" if image else "put into the root what is missing"
    return [(told, f"{way}, or start another program", origin)]


def _image(order: Operation, done: list[Operation]) -> tuple[str, str]:
    """Return the file of the image that is the root by ORDER, and its name; empty where another
    disk is."""
    disks = [
        path
        for one in done
        if "disk" in one.name and one.name in OPENING  # other calls open no disk
        for rule, path, _ in one.opens()
        if rule.get("target") == "disk"
    ]
    last = order.argument("device").removeprefix(_DISKS)
    number = _LETTERS.find(last) if len(last) == 1 else -1
    if 0 <= number < len(disks):
        for one in done:
            if one.name == "require_image" and one.argument("path") == disks[number]:
                return disks[number], one.argument("reference")
    return "", ""


def unmountable(plan: dict[str, Any], done: list[Operation], directories: Directories) -> list[str]:
    """Tell where a root that is a directory, and read-only, lacks what the guest mounts something
    at. The others make that themselves."""
    if len(directories.written) == len(directories.shared) or sys.platform != "linux":
        return []
    orders = {operation.name: operation for operation in done if operation.kind == "order"}
    tag, origin = GUEST_CONFIGURATION["fs_tag"], "rootfs"
    if orders:
        if _CHANGED.isdisjoint(orders) and "root_share" in orders:
            share = orders["root_share"]
            tag, origin = share.argument("tag"), share.origin
            if share.argument("access").c != "read":
                return []
        else:
            return []
    elif not _OWN_WAY.issubset([row.get("implicit") for row in plan["operations"]]):
        return []
    root = root_of(done, tag)
    if not root or (not orders and root in directories.written):
        return []
    from krunc_launcher.host.mount_points import missing

    return list(missing(done, root, origin, laid(plan, tag), directories))


def _within(root: str, path: str, directories: Directories) -> int:
    """Return a descriptor of PATH below ROOT, where links lead as they do for the guest, or -1."""
    try:
        directory = directories.open(root, system.O_PATH | system.O_DIRECTORY)
    except OSError:
        return -1
    found = openat2(directory, path, system.O_PATH, IN_ROOT)
    system.close(directory)
    return found
