"""Options of mounts: how they are written, and that they say what the keys beside them say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from krunc_compiler.box.box import Box, DiskRoot
from krunc_compiler.findings.finding import Finding, Path, dotted


def check(box: Box) -> list[Finding]:
    """Tell what is wrong with the options of the disks and the root of BOX."""
    found: list[Finding] = []
    for i, disk in enumerate(box.disks):
        if disk.mount is None:
            found += _without_mount(box, i)
        elif disk.options is not None:
            where: Path = ("disks", i, "options")
            key = box.origin("disks", i, "read_only")
            way = f"write read_only: {str(not disk.read_only).lower()}, and remove it here"
            found += _form(disk.options, where)
            found += _access(disk.options, where, disk.read_only, key, way)
    if isinstance(box.rootfs, DiskRoot) and box.rootfs.options is not None:
        found += _of_root(box.rootfs, box.rootfs.options)
    return found


def _of_root(root: DiskRoot, options: str) -> Iterator[Finding]:
    where: Path = ("rootfs", "options")
    yield from _form(options, where)
    if root.read_only:
        yield from _access(options, where, True, ("rootfs", "read_only"), "remove it here")
    elif root.changes is not None and root.changes.keep == "host":
        way = "remove it here, or write read_only: true instead of changes"
        yield from _access(options, where, False, ("rootfs", "changes"), way)
    else:
        yield from _both(_words(options), where)


def _words(options: str) -> list[str]:
    return [part.strip() for part in options.split(",")]


def _form(options: str, where: Path) -> Iterator[Finding]:
    """Yield OPTIONS that mount(8) would not split as they are meant. A value may have a space."""
    words = options.split(",")
    spaced = any(word != word.strip() or re.search(r"\s", word.partition("=")[0]) for word in words)
    if not spaced and all(words):
        return
    plain = re.sub(r"^\s*(?:-o|--options)[\s=]+", "", options)
    parts = (part for word in plain.split(",") for part in _split(word.strip()))
    meant = ",".join(filter(None, parts))
    yield Finding(
        "KR106",
        f"{options!r} is not a list of options with nothing but commas between them",
        where,
        hint=f'write "{meant}"' if meant else "write a list such as noatime,noexec, or remove it",
    )


def _split(word: str) -> list[str]:
    return word.split() if re.search(r"\s", word.partition("=")[0]) else [word]


def _access(options: str, where: Path, read_only: bool, key: Path, way: str) -> Iterator[Finding]:
    """Yield an option that says another access than READ_ONLY, which KEY states, () by default."""
    words = _words(options)
    other = "rw" if read_only else "ro"
    if "ro" in words and "rw" in words:
        yield from _both(words, where)
    elif other in words:
        said = dotted(key) if key else f"read_only, which is {str(read_only).lower()} by default"
        message = f"{other} contradicts {said}"
        yield Finding("KR209", message, where, way)


def _both(words: list[str], where: Path) -> Iterator[Finding]:
    if "ro" in words and "rw" in words:
        yield Finding("KR209", "ro and rw are mutually exclusive", where, "remove one of them")


def _without_mount(box: Box, i: int) -> Iterator[Finding]:
    """Yield the keys of a disk that say how it is mounted, where it is not."""
    stated = box.written["disks"][i] if i < len(box.written.get("disks", ())) else {}
    if "fstype" not in stated and "options" not in stated:
        return
    disk, root = box.disks[i], box.rootfs
    changes = root.changes
    keeps = changes is not None and changes.keep == "disk" and changes.disk == disk.id
    is_root = isinstance(root, DiskRoot) and root.disk == disk.id
    for key, verb in (("fstype", "needs"), ("options", "need")):
        if key in stated and not (keeps and key == "fstype"):
            hint = "write `mount: /PATH` too, or remove it: it belongs to a mount"
            if is_root:
                hint = f"write it as rootfs.{key}: this disk is the root"
            where = ("disks", i, key)
            yield Finding("KR210", f"{key} {verb} `mount`", where, hint, at_key=True)
