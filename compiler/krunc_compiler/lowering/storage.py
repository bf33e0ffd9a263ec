"""Shares, disks, the root file system, and what lies on top of directories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.box.box import Box, DirectoryRoot, Disk, DiskRoot, Overlay, Share
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target, disk_name
from krunc_compiler.plan.operation import Operation

# KRUN_FS_ROOT_TAG, and the DAX window in MiB that krun_set_root gives the root since 1.9.5.
ROOT_TAG = "/dev/root"
ROOT_WINDOW = 512
_INIT = "/init.krun"
_FILE, _DIRECTORY = 0o100000, 0o040000
_ADD_DISK2 = (1, 10)


def open_files(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the launcher may open as many files as its hard limit lets it, before the first
    virtiofs."""
    del box, target
    yield Operation("step", "raise_nofile")


def shares(box: Box, target: Target) -> Iterator[Operation]:
    """Directories over virtiofs, each with the oldest call that says what the box says."""
    del target
    for i, share in enumerate(box.shares):
        where: Path = ("shares", i)
        name, args, need = _share(share)
        yield Operation(
            "call",
            name,
            box.origin(*where),
            {"tag": share.tag, "path": share.path, **args},
            places={"tag": (*where, "tag"), "path": (*where, "path"), "shm_size": (*where, "dax")},
            need=(*where, need) if need else (),
        )
        yield from _overlays(share.tag, share.overlay, (*where, "overlay"))


def _share(share: Share) -> tuple[str, dict[str, Any], str]:
    """Return the call, its arguments beside tag and path, and the key that asks for just this
    call."""
    window = {"shm_size": share.dax_mib << 20}
    mode = {"read_only": share.read_only}
    if share.semantics != "complete":
        more = {**window, **mode, "semantics": share.semantics}
        return "krun_add_virtiofs4", more, "semantics"
    if share.read_only:
        # Only this one can forbid writing.
        return "krun_add_virtiofs3", {**window, **mode}, "read_only"
    if share.dax_mib:
        return "krun_add_virtiofs2", window, "dax"
    return "krun_add_virtiofs", {}, ""


def disks(box: Box, target: Target) -> Iterator[Operation]:
    """Disks with their format named, in the order in which the guest sees them."""
    for i, disk in enumerate(box.disks):
        where: Path = ("disks", i)
        name, args, need = _disk(disk, target)
        yield Operation(
            "call",
            name,
            box.origin(*where),
            {"block_id": disk.id, "disk_path": disk.path, **args},
            places={"block_id": (*where, "id"), "disk_path": (*where, "path")},
            need=(*where, need) if need else (),
        )


def _disk(disk: Disk, target: Target) -> tuple[str, dict[str, Any], str]:
    kind = {"disk_format": disk.format, "read_only": disk.read_only}
    if disk.direct_io or disk.sync != "full":
        more = {**kind, "direct_io": disk.direct_io, "sync_mode": disk.sync}
        return "krun_add_disk3", more, "direct_io" if disk.direct_io else "sync"
    old = target.version is not None and target.version < _ADD_DISK2
    if old and disk.format == "raw":
        return "krun_add_disk", {"read_only": disk.read_only}, ""
    return "krun_add_disk2", kind, "format"


def device_of(box: Box, disk: str) -> str | None:
    """Return the guest's device of the disk with that id; None when no disk has it."""
    ids = [candidate.id for candidate in box.disks]
    return disk_name(ids.index(disk)) if disk in ids else None


def root(box: Box, target: Target) -> Iterator[Operation]:
    """Exactly one root: a directory, or a disk that the guest's init mounts over an empty one."""
    match box.rootfs:
        case DirectoryRoot():
            yield _directory(box, box.rootfs, target)
            yield from _overlays(ROOT_TAG, box.rootfs.overlay, ("rootfs", "overlay"))
        case DiskRoot(disk, device, fstype, options):
            yield Operation(
                "call",
                "krun_set_root_disk_remount",
                box.origin("rootfs"),
                {
                    "device": device or device_of(box, disk),
                    "fstype": fstype,
                    "options": options,
                },
                places={
                    "device": ("rootfs", "device"),
                    "fstype": ("rootfs", "fstype"),
                    "options": ("rootfs", "options"),
                },
            )
    if box.boot.init is not None:
        place = ("boot", "init")
        content = {"file": box.boot.init}
        yield overlay_file(ROOT_TAG, _INIT, content, 0o755, False, place, {"data": place})


def _directory(box: Box, directory: DirectoryRoot, target: Target) -> Operation:
    place = ("rootfs", "path")
    changed = (
        "read_only" if directory.read_only else "dax" if directory.dax_mib != ROOT_WINDOW else ""
    )
    if target.family == 1 and not changed:
        args: dict[str, Any] = {"root_path": directory.path}
        return Operation(
            "call", "krun_set_root", box.origin(*place), args, places={"root_path": place}
        )
    args = {
        "tag": ROOT_TAG,
        "path": directory.path,
        "shm_size": directory.dax_mib << 20,
        "read_only": directory.read_only,
    }
    need = ("rootfs", changed) if changed else ()
    origin = box.origin("rootfs") if changed else box.origin(*place)
    places: dict[str, Path] = {"path": place, "shm_size": ("rootfs", "dax")}
    return Operation("call", "krun_add_virtiofs3", origin, args, places=places, need=need)


def _overlays(tag: str, overlay: tuple[Overlay, ...], place: Path) -> Iterator[Operation]:
    for i, item in enumerate(overlay):
        where = (*place, i)
        places: dict[str, Path] = {"path": (*where, "path")}
        if item.directory:
            args = {"fs_tag": tag, "path": item.path, "mode": _DIRECTORY | item.mode}
            yield Operation("call", "krun_fs_add_overlay_dir", where, args, places=places)
            continue
        kind = "file" if item.file is not None else "base64" if item.base64 is not None else "text"
        content = {kind: getattr(item, kind)}
        places["data"] = (*where, kind)
        yield overlay_file(tag, item.path, content, item.mode, item.once, where, places)


def overlay_file(
    tag: str,
    path: str,
    content: dict[str, Any],
    mode: int,
    once: bool,
    origin: Path,
    places: dict[str, Path],
) -> Operation:
    """Lay a regular file over the root or share TAG."""
    args = {"fs_tag": tag, "path": path, "data": content, "mode": _FILE | mode, "one_shot": once}
    return Operation("call", "krun_fs_add_overlay_file", origin, args, places=places)
