"""What a box asks of the stage: mounts, the root's changes, sizes, addresses, users."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box, DirectoryRoot, Disk, DiskRoot
from krunc_compiler.files.hostpath import lying_in, normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.lowering import stage
from krunc_compiler.rules import guest_paths

_MOST_ID = 4294967294  # -1 is no user, for setresuid(2)


def check(box: Box) -> list[Finding]:
    """Tell what is wrong with what BOX asks of the stage."""
    return [
        *_other_init(box),
        *_changes(box),
        *_mounts(box),
        *_file_systems(box),
        *_sizes(box),
        *_addresses(box),
        *_host_names(box),
        *_user(box),
    ]


def _other_init(box: Box) -> Iterator[Finding]:
    key = stage.asked(box)
    if key and not stage.possible(box):
        hint = "leave one out: krunc's own first program does it, which libkrun's init starts"
        other = "boot.init"
        if box.boot.firmware is not None:
            hint = "remove it, and set it up in the system that the firmware boots"
            other = "boot.firmware"
        yield Finding(
            "KR209", f"{dotted(key)} and {other} are mutually exclusive", key, hint, at_key=True
        )


def _changes(box: Box) -> Iterator[Finding]:
    root, changes = box.rootfs, box.rootfs.changes
    where: Path = ("rootfs", "changes")
    if changes is not None and root.read_only:
        hint = "remove one of them: nothing is changed then"
        yield Finding("KR209", "read_only: true and changes are mutually exclusive", where, hint)
    if isinstance(root, DiskRoot):
        yield from _root_disk(box, root)
    elif isinstance(root, DirectoryRoot):
        yield from _written_root(box, root)
    size = box.origin("rootfs", "size")
    if size and (changes is None or changes.keep != "discard"):
        hint = "write `changes: discard`, or remove it: it bounds discarded changes"
        yield Finding("KR210", "size needs `changes: discard`", size, hint, at_key=True)
    if changes is None or changes.keep != "disk":
        return
    where = ("rootfs", "changes", "disk")
    disk = _disk(box, changes.disk)
    if disk is None:
        yield _no_disk(box, changes.disk, where)
    elif disk.read_only:
        hint = "write `read_only: false` for it, or choose another"
        yield Finding("KR206", f"the disk {disk.id!r} is read-only", where, hint)
    elif isinstance(root, DiskRoot) and root.disk == disk.id:
        hint = "name another disk: changes are kept beside the root"
        yield Finding("KR206", f"the disk {disk.id!r} is the root itself", where, hint)


def _root_disk(box: Box, root: DiskRoot) -> Iterator[Finding]:
    disk = _disk(box, root.disk)
    if disk is not None and stage.is_kept(root) and not disk.read_only:
        i = box.disks.index(disk)
        yield Finding(
            "KR206",
            f"the guest can write to the disk {disk.id!r}, however it is mounted",
            ("disks", i),
            hint=f"write `read_only: true` for it, for {dotted(stage.asked(box))} keeps changes "
            "out of it",
        )


def _written_root(box: Box, root: DirectoryRoot) -> Iterator[Finding]:
    """Yield the shares by which the guest would write a root of which the box says that it does
    not; the launcher refuses them, also where a link leads there."""
    above = {normal(root.path), *lying_in(root.path)} if stage.is_kept(root) else set()
    key = "rootfs.read_only" if root.read_only else "rootfs.changes"
    for i, share in enumerate(box.shares):
        if not share.read_only and normal(share.path) in above:
            yield Finding(
                "KR209",
                f"{key} keeps the guest from writing {root.path}, and this share lets it",
                ("shares", i, "path"),
                hint="write `read_only: true` for the share, or share a directory beside the root",
            )


def _disk(box: Box, name: str) -> Disk | None:
    return next((disk for disk in box.disks if disk.id == name), None)


def _no_disk(box: Box, name: str, where: Path) -> Finding:
    own = box.disks[:-1] if box.image is not None else box.disks
    ids = ", ".join(disk.id for disk in own) or "none"
    return Finding(
        "KR206", f"no disk has the id {name!r}", where, hint=f"name one of the disks: {ids}"
    )


def _mounts(box: Box) -> Iterator[Finding]:
    own = stage.named("guest_own")
    for path, where in guest_paths.points(box):
        top = "/" + path.split("/")[1]
        if top in own:
            yield Finding(
                "KR212",
                f"{path} lies in {top}, which is the guest's own",
                where,
                hint="mount it elsewhere, and make a link in `entrypoint.before`",
            )
    used: dict[str, Path] = {}
    if isinstance(box.rootfs, DiskRoot):
        used[box.rootfs.disk] = ("rootfs", "disk")
    changes = box.rootfs.changes
    if changes is not None and changes.keep == "disk":
        used[changes.disk] = ("rootfs", "changes", "disk")
    for i, disk in enumerate(box.disks):
        if disk.mount is not None and disk.id in used:
            yield Finding(
                "KR201",
                f"the disk {disk.id!r} is already that of {dotted(used[disk.id])}",
                ("disks", i, "mount"),
                hint="leave one out, or name another disk: one file system is mounted once",
            )


def _file_systems(box: Box) -> Iterator[Finding]:
    """Find those that would mount something else than the disk, or not keep changes: see no_disks
    and no_layers in orders.json."""
    named: list[tuple[str, Path]] = [
        (disk.fstype, ("disks", i, "fstype")) for i, disk in enumerate(box.disks)
    ]
    if isinstance(box.rootfs, DiskRoot):
        named.append((box.rootfs.fstype, ("rootfs", "fstype")))
    for fstype, where in named:
        if fstype in stage.named("no_disks"):
            message = f"{fstype!r} mounts something else than a disk"
            hint = "write the file system of the disk, as in ext4"
            yield Finding("KR105", message, where, hint)
    changes = box.rootfs.changes
    for i, disk in enumerate(box.disks):
        is_layer = changes is not None and changes.keep == "disk" and changes.disk == disk.id
        if is_layer and disk.fstype in stage.named("no_layers"):
            message = f"{disk.fstype!r} cannot keep changes to the root"
            hint = "choose another disk, with ext4 for example: an overlay has to write to it"
            yield Finding("KR105", message, ("disks", i, "fstype"), hint)


def _sizes(box: Box) -> Iterator[Finding]:
    sizes: list[tuple[int | None, Path]] = [
        (tmpfs.size_mib, ("tmpfs", i, "size")) for i, tmpfs in enumerate(box.tmpfs)
    ]
    if box.rootfs.changes is not None:
        sizes.append((box.rootfs.changes.size_mib, ("rootfs", "size")))
    most = box.machine.memory_mib
    for size, where in sizes:
        if size is not None and size > most:
            yield Finding(
                "KR104",
                f"{size} MiB are more than the machine's memory",
                where,
                hint=f"write at most {most} MiB, which is machine.memory",
            )


def _addresses(box: Box) -> Iterator[Finding]:
    named: list[tuple[str, Path]] = [(text, ("hosts", name)) for name, text in box.hosts.items()]
    named += [(text, ("dns", i)) for i, text in enumerate(box.dns)]
    if not named:
        return
    from ipaddress import ip_address  # few boxes name any

    for text, where in named:
        try:
            ip_address(text)
        except ValueError:
            hint = "write one as in 10.0.0.5 or fd00::5"
            yield Finding("KR106", f"{text!r} is not an IPv4 or IPv6 address", where, hint)


def _host_names(box: Box) -> Iterator[Finding]:
    """Yield names of /etc/hosts of which programs find the first alone: to them case is nothing."""
    first: dict[str, str] = {}
    for name in box.hosts:
        other = first.setdefault(name.lower(), name)
        if other != name:
            message = f"to programs the host {name} is {other}, which has an address already"
            hint = "remove one of them: upper and lower case are one in names of hosts"
            yield Finding("KR201", message, ("hosts", name), hint, at_key=True)


def _user(box: Box) -> Iterator[Finding]:
    for part in (box.entrypoint.user or "").split(":"):
        if part.isascii() and part.isdigit() and int(part) > _MOST_ID:
            hint = f"write 0 to {_MOST_ID}"
            yield Finding("KR104", f"{part} is out of range", ("entrypoint", "user"), hint)
