"""What a box means, beyond its shape: rules over several keys, and libkrun's hidden limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from krunc_compiler.box.box import Box, DirectoryRoot, DiskRoot
from krunc_compiler.box.networks import NetworkDevices, PasstDevice, Published, Tsi
from krunc_compiler.files.hostpath import normal
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.libkrun import Target, limits_of_init
from krunc_compiler.lowering.machine import can_interrupt
from krunc_compiler.lowering.stage import asked as stage_asked
from krunc_compiler.lowering.storage import device_of
from krunc_compiler.plan.kinds import rules
from krunc_compiler.rules import conflicts, guest_paths, image, mount_options, scripts, stage

_DAX_MIB = 2


def check(box: Box, target: Target) -> list[Finding]:
    """Tell what is wrong with the keys of the box."""
    return [
        *conflicts.check(box),
        *_root_disk(box),
        *_disks(box),
        *_windows(box),
        *_ports(box),
        *_published(box),
        *_limits(box, target),
        *_stop(box, target),
        *stage.check(box),
        *guest_paths.check(box),
        *mount_options.check(box),
        *(scripts.check(box) if scripts.are_in(box) else ()),
        *image.check(box),
    ]


def _stop(box: Box, target: Target) -> Iterator[Finding]:
    asked = box.origin("stop") and box.stop.on_sigterm != "kill" and not stage_asked(box)
    if asked and not can_interrupt(box, target):
        yield Finding(
            "KR209",
            "with console.output, libkrun 1.x cannot interrupt the guest's program",
            ("stop",),
            hint="write `on_sigterm: terminate`, or `kill`, or instead of console.output a "
            "device: {type: virtio, output: {file: ...}, error: {file: ...}}",
            at_key=True,
        )


def _root_disk(box: Box) -> Iterator[Finding]:
    if not isinstance(box.rootfs, DiskRoot):
        return
    root = box.rootfs
    whole = device_of(box, root.disk)
    if whole is None:
        ids = ", ".join(disk.id for disk in box.disks) or "none"
        yield Finding(
            "KR206",
            f"no disk has the id {root.disk!r}",
            ("rootfs", "disk"),
            hint=f"name one of the disks: {ids}",
        )
        return
    part = (root.device or whole).removeprefix(whole)
    if part and not re.fullmatch("[1-9][0-9]{0,2}", part):
        yield Finding(
            "KR206",
            f"{root.device!r} is not on the disk {root.disk!r}, which the guest sees as {whole}",
            ("rootfs", "device"),
            hint=f"write {whole}, or {whole}1 for its first partition",
        )
    disk = next(disk for disk in box.disks if disk.id == root.disk)
    writes = root.changes is not None and root.changes.keep == "host"
    mounts_it = root.changes is not None or root.read_only
    if disk.read_only and writes:
        yield Finding(
            "KR206",
            f"the disk {root.disk!r} is read-only, and changes are written to it",
            ("rootfs", "changes"),
            hint="write `changes: discard`, or `read_only: false` for the disk",
        )
    elif disk.read_only and not mounts_it and "ro" not in (root.options or "").split(","):
        yield Finding(
            "KR206",
            f"the disk {root.disk!r} is read-only, but the root on it is mounted for writing",
            ("rootfs",),
            hint="write `options: ro` under rootfs, or `read_only: false` for the disk",
        )


def _windows(box: Box) -> Iterator[Finding]:
    """Yield DAX windows that the guest's kernel does not map: it does so in pieces of 2 MiB
    (PMD_SIZE; seen with libkrun 2.0-dev), and the mount fails."""
    windows: list[tuple[int, Path]] = [
        (share.dax_mib, ("shares", i, "dax")) for i, share in enumerate(box.shares)
    ]
    if isinstance(box.rootfs, DirectoryRoot):
        windows.append((box.rootfs.dax_mib, ("rootfs", "dax")))
    for size, where in windows:
        if size % _DAX_MIB:
            yield Finding(
                "KR104",
                f"{size} MiB is not a multiple of {_DAX_MIB} MiB, as the guest maps a window",
                where,
                hint=f"write {f'{size - 1}MiB or ' if size > 1 else ''}{size + 1}MiB",
            )


def _disks(box: Box) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for i, disk in enumerate(box.disks):
        first = seen.setdefault(normal(disk.path), i)
        if first != i and not (disk.read_only and box.disks[first].read_only):
            yield Finding(
                "KR201",
                f"the image {disk.path} is already that of disks[{first}]",
                ("disks", i, "path"),
                hint="give each its own, or write `read_only: true` for both: two disks of one "
                "image destroy its file system",
            )


def _ports(box: Box) -> Iterator[Finding]:
    if not isinstance(box.network, Tsi) or box.network.ports is None:
        return
    seen: dict[tuple[str, str], int] = {}
    rule = rules("port_pair")["numbers"]
    least, most = rule["min"], rule["max"]
    for i, text in enumerate(box.network.ports):
        path: Path = ("network", "ports", i)
        for side, port in zip(("host", "guest"), text.split(":"), strict=True):
            if not least <= int(port) <= most:
                message = f"the {side} port {port} is out of range"
                yield Finding("KR104", message, path, hint=f"write {least} to {most}")
            first = seen.setdefault((side, port), i)
            if first != i:
                yield Finding(
                    "KR201",
                    f"the {side} port {port} is already in network.ports[{first}]",
                    path,
                    hint="choose another port: libkrun refuses it",
                )


def _published(box: Box) -> Iterator[Finding]:
    """Yield what is wrong with ports that passt opens: it takes a port of the host once, whatever
    the address; any port of the guest as often as asked."""
    if not isinstance(box.network, NetworkDevices):
        return
    seen: dict[tuple[str, int], int] = {}
    rule = rules("port_pair")["numbers"]
    least, most = rule["min"], rule["max"]
    for port in _of_passt(box.network):
        path: Path = ("network", "ports", port.key)
        if not all(_is_byte(part) for part in port.address.split(".")):
            message = f"{port.address} is not an address"
            yield Finding("KR104", message, path, hint=f"write {rules('ipv4')['form']}")
        for side, number in (("host", port.host), ("guest", port.guest)):
            if not least <= number <= most:
                message = f"the {side} port {number} is out of range"
                yield Finding("KR104", message, path, hint=f"write {least} to {most}")
        first = seen.setdefault((port.protocol, port.host), port.key)
        if first != port.key:
            yield Finding(
                "KR201",
                f"the host's {port.protocol.upper()} port {port.host} is already in "
                f"network.ports[{first}]",
                path,
                hint="choose another port: passt opens it once, for any address",
            )


def _of_passt(network: NetworkDevices) -> Iterator[Published]:
    for device in network.devices:
        if isinstance(device, PasstDevice):
            yield from device.ports


def _is_byte(text: str) -> bool:
    return int(text) <= 255 and (text == "0" or text[0] != "0")


def _limits(box: Box, target: Target) -> Iterator[Finding]:
    most = rules("limit")["numbers"]["max"]
    for name, text in box.limits.items():
        soft, hard = map(int, text.split(":"))
        if hard > most:
            yield Finding(
                "KR104", f"{hard} is out of range", ("limits", name), hint=f"write 0 to {most}"
            )
        if soft > hard:
            yield Finding(
                "KR104",
                f"the soft limit {soft} is above the hard limit {hard}",
                ("limits", name),
                hint=f"write {hard}:{hard} or a higher hard limit",
            )
        least = limits_of_init(target.family).get(name, 0)
        if soft < least and not box.boot.init:
            yield Finding(
                "KR898",
                f"with {name} {soft} the init of libkrun {target} starts no program",
                ("limits", name),
                hint=f"write at least {least}, or set it in the program instead (ulimit)",
            )
