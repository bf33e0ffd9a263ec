"""The storage of a checked value, filled with the schema's defaults: roots, shares, disks."""

from __future__ import annotations

from typing import Any

from krunc_compiler.box.box import (
    Changes,
    DirectoryRoot,
    Disk,
    DiskRoot,
    NoRoot,
    Overlay,
    Share,
    Tmpfs,
)

_MIB = {"M": 1, "MiB": 1, "G": 1024, "GiB": 1024}
# As /tmp everywhere, and the default of the kernel's tmpfs.
_STICKY = "1777"


def mebibytes(text: str) -> int:
    """Return the MiB of a size, as the box's schema has it ($defs/size): 4GiB, 4 G, 1.5GiB."""
    unit = text.lstrip("0123456789.")
    return int(float(text.removesuffix(unit)) * _MIB[unit.strip()])


def root(value: dict[str, Any] | None) -> DirectoryRoot | DiskRoot | NoRoot:
    """Return the root of VALUE, a directory or a disk, or none."""
    if value is None:
        return NoRoot()
    if "path" in value:
        overlay = tuple(map(_overlay, value["overlay"]))
        window = mebibytes(value["dax"])
        return DirectoryRoot(value["path"], value["read_only"], window, overlay, _changes(value))
    return DiskRoot(
        value["disk"],
        value.get("device"),
        value["fstype"],
        value.get("options"),
        value["read_only"],
        _changes(value),
    )


def _changes(value: dict[str, Any]) -> Changes | None:
    changes = value.get("changes")
    if changes is None:
        return None
    size = mebibytes(value["size"]) if "size" in value else None
    if isinstance(changes, str):
        return Changes(changes, size, "")
    return Changes("disk", size, changes["disk"])


def share(value: dict[str, Any]) -> Share:
    """Return the share of VALUE."""
    return Share(
        value["tag"],
        value["path"],
        value["read_only"],
        mebibytes(value["dax"]) if "dax" in value else 0,
        value["semantics"],
        tuple(map(_overlay, value["overlay"])),
        _mount(value),
    )


def disk(value: dict[str, Any]) -> Disk:
    """Return the disk of VALUE."""
    return Disk(**{"options": None, **value, "mount": _mount(value)})


def tmpfs(value: str | dict[str, Any]) -> Tmpfs:
    """Return the tmpfs of VALUE, which is a path or a map."""
    if isinstance(value, str):
        return Tmpfs(_normal(value), None, _STICKY)
    size = mebibytes(value["size"]) if "size" in value else None
    return Tmpfs(_normal(value["path"]), size, value["mode"])


def _mount(value: dict[str, Any]) -> str | None:
    return _normal(value["mount"]) if "mount" in value else None


def _normal(path: str) -> str:
    """Return the mount point PATH, which may have a slash at its end, without it."""
    return path.rstrip("/")


def _overlay(value: dict[str, Any]) -> Overlay:
    directory = "directory" in value
    mode = int(value["mode"], 8) if "mode" in value else 0o755 if directory else 0o644
    return Overlay(
        value["path"],
        value.get("text"),
        value.get("file"),
        value.get("base64"),
        directory,
        mode,
        value["once"],
    )
