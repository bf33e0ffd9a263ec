"""Shares, disks and the root file system."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.api import Target
from krunc_compiler.box import Box, DiskRoot, FolderRoot
from krunc_compiler.operation import Operation

# KRUN_FS_ROOT_TAG and the DAX window that krun_set_root gives the root since libkrun 1.9.5.
_ROOT_TAG = "/dev/root"
_ROOT_WINDOW = 512 << 20


def open_files(box: Box, target: Target) -> Iterator[Operation]:
    """The launcher may open as many files as its hard limit lets it, before the first virtiofs."""
    del box, target
    yield Operation("step", "raise_nofile")


def shares(box: Box, target: Target) -> Iterator[Operation]:
    """Folders over virtiofs. Only krun_add_virtiofs3 can forbid writing."""
    del target
    for i, share in enumerate(box.shares):
        args: dict[str, object] = {"tag": share.tag, "path": share.path}
        if share.read_only:
            args |= {"shm_size": 0, "read_only": True}
        yield Operation(
            "call",
            "krun_add_virtiofs3" if share.read_only else "krun_add_virtiofs",
            box.origin("shares", i),
            args,
            places={"tag": ("shares", i, "tag"), "path": ("shares", i, "path")},
            need=("shares", i, "read_only") if share.read_only else (),
        )


def disks(box: Box, target: Target) -> Iterator[Operation]:
    """Disks with their format named, in the order in which the guest sees them."""
    del target
    for i, disk in enumerate(box.disks):
        yield Operation(
            "call",
            "krun_add_disk2",
            box.origin("disks", i),
            {
                "block_id": disk.id,
                "disk_path": disk.path,
                "disk_format": disk.format,
                "read_only": disk.read_only,
            },
            places={"block_id": ("disks", i, "id"), "disk_path": ("disks", i, "path")},
        )


def device_of(box: Box, disk: str) -> str | None:
    """The guest's device of the disk with that id; None when no disk has it."""
    ids = [candidate.id for candidate in box.disks]
    return f"/dev/vd{chr(ord('a') + ids.index(disk))}" if disk in ids else None


def root(box: Box, target: Target) -> Iterator[Operation]:
    """Exactly one root: a folder, or a disk that the guest's init mounts over an empty one."""
    match box.rootfs:
        case FolderRoot(path):
            args: dict[str, object] = {"root_path": path}
            if target.family == 2:
                args = {
                    "tag": _ROOT_TAG,
                    "path": path,
                    "shm_size": _ROOT_WINDOW,
                    "read_only": False,
                }
            name = "krun_set_root" if target.family == 1 else "krun_add_virtiofs3"
            place = "root_path" if target.family == 1 else "path"
            yield Operation(
                "call",
                name,
                box.origin("rootfs", "path"),
                args,
                places={place: ("rootfs", "path")},
            )
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
