"""What the host must have before the first call."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box, FolderRoot
from krunc_compiler.box.networks import NetworkDevices, SocketDevice, TapDevice
from krunc_compiler.files.hostpath import RUNTIME
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """A demand for each thing of the host that the plan uses."""
    del target
    yield Operation("step", "require_hypervisor")
    if box.machine.nested:
        yield Operation("step", "require_nested_virtualization", ("machine", "nested"))
    if isinstance(box.rootfs, FolderRoot):
        yield _folder(box.rootfs.path, box.rootfs.read_only, box.origin("rootfs", "path"))
    for i, share in enumerate(box.shares):
        yield _folder(share.path, share.read_only, box.origin("shares", i, "path"))
    for i, disk in enumerate(box.disks):
        args = {"path": disk.path, "access": _access(disk.read_only)}
        yield Operation("step", "require_file", box.origin("disks", i, "path"), args)
    for path, origin in _files(box):
        yield Operation("step", "require_file", origin, {"path": path, "access": "read"})
    if isinstance(box.network, NetworkDevices):
        for i, device in enumerate(box.network.devices):
            yield from _network(device, box.network.place(i))
    for i, served in enumerate(box.vhost_user):
        yield _socket(served.socket, "stream", ("vhost_user", i, "socket"))


def runtime(operations: list[Operation]) -> Iterator[Operation]:
    """The runtime folder, when any of OPERATIONS names a path in it."""
    if any(path.startswith(RUNTIME) for o in operations for _, path in o.paths()):
        yield Operation("step", "make_runtime_folder")


def _folder(path: str, read_only: bool, origin: Path) -> Operation:
    return Operation("step", "require_folder", origin, {"path": path, "access": _access(read_only)})


def _access(read_only: bool) -> str:
    return "read" if read_only else "read-write"


def _files(box: Box) -> Iterator[tuple[str, Path]]:
    """The files of the host that are read once, for their content."""
    boot = box.boot
    if box.machine.tee is not None:
        yield box.machine.tee, ("machine", "tee")
    if boot.kernel is not None:
        yield boot.kernel.path, ("boot", "kernel", "path")
        if boot.kernel.initramfs is not None:
            yield boot.kernel.initramfs, ("boot", "kernel", "initramfs")
    if boot.firmware is not None:
        yield boot.firmware, ("boot", "firmware")
    if boot.init is not None:
        yield boot.init, ("boot", "init")
    for i, display in enumerate(box.displays):
        if display.edid is not None:
            yield display.edid, ("displays", i, "edid")
    if isinstance(box.rootfs, FolderRoot):
        for i, item in enumerate(box.rootfs.overlay):
            if item.file is not None:
                yield item.file, ("rootfs", "overlay", i, "file")
    for i, share in enumerate(box.shares):
        for j, item in enumerate(share.overlay):
            if item.file is not None:
                yield item.file, ("shares", i, "overlay", j, "file")


def _network(device: SocketDevice | TapDevice, where: Path) -> Iterator[Operation]:
    if isinstance(device, TapDevice):
        yield Operation("step", "require_tap", (*where, "device"), {"name": device.device})
    elif device.socket is not None:
        kind = "datagram" if device.datagram else "stream"
        yield _socket(device.socket, kind, (*where, "socket"))


def _socket(path: str, kind: str, origin: Path) -> Operation:
    return Operation("step", "require_socket", origin, {"path": path, "type": kind})
