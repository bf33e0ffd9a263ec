"""What the host must have before the first call."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.api import Target
from krunc_compiler.box import RUNTIME, Box, FolderRoot, NetworkDevice
from krunc_compiler.findings import Path
from krunc_compiler.operation import Operation


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """A demand for each thing of the host that the plan uses."""
    del target
    yield Operation("step", "require_hypervisor")
    if isinstance(box.rootfs, FolderRoot):
        yield _folder(box.rootfs.path, False, box.origin("rootfs", "path"))
    for i, share in enumerate(box.shares):
        yield _folder(share.path, share.read_only, box.origin("shares", i, "path"))
    for i, disk in enumerate(box.disks):
        args = {"path": disk.path, "access": _access(disk.read_only)}
        yield Operation("step", "require_file", box.origin("disks", i, "path"), args)
    if isinstance(box.network, NetworkDevice):
        args = {
            "path": box.network.socket,
            "type": "datagram" if box.network.datagram else "stream",
        }
        yield Operation("step", "require_socket", box.origin("network", "socket"), args)
    if any(path.startswith(RUNTIME) for path in _host_paths(box)):
        yield Operation("step", "make_runtime_folder")


def _folder(path: str, read_only: bool, origin: Path) -> Operation:
    return Operation("step", "require_folder", origin, {"path": path, "access": _access(read_only)})


def _access(read_only: bool) -> str:
    return "read" if read_only else "read-write"


def _host_paths(box: Box) -> Iterator[str]:
    if isinstance(box.rootfs, FolderRoot):
        yield box.rootfs.path
    yield from (share.path for share in box.shares)
    yield from (disk.path for disk in box.disks)
    if isinstance(box.network, NetworkDevice):
        yield box.network.socket
    yield from (port.socket for port in box.vsock)
    yield from filter(None, (box.agent.listen, box.agent.notify, box.console_output))
