"""The stage, krunc's own first program in the guest: the VM that it needs, and its orders.

A box that asks for more than libkrun's init does becomes two things: the VM of another box, whose
root holds the stage and whose program it is, and the orders by which the stage makes of it what
the first box says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from posixpath import normpath
from typing import Any

from krunc_schema import load

from krunc_compiler.box.box import (
    IMAGE,
    Box,
    DirectoryRoot,
    DiskRoot,
    Entrypoint,
    NoRoot,
    Share,
    VsockPort,
)
from krunc_compiler.box.image_from_value import ROOT_DISK
from krunc_compiler.box.networks import NetworkDevices, PasstDevice
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target, functions, lacks
from krunc_compiler.lowering import process
from krunc_compiler.lowering.network import PASST
from krunc_compiler.lowering.storage import ROOT_WINDOW, device_of
from krunc_compiler.plan.operation import Operation

_SIGNALS = {"terminate": "TERM", "interrupt": "INT"}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = load("orders")
    return table


@cache
def named(name: str) -> frozenset[str]:
    """Return the set of names that the table of orders has as NAME."""
    return frozenset(_table()[name].split())


def asked(box: Box) -> Path:
    """Return the first key of BOX that libkrun's init cannot do; () without one."""
    if box.image is not None:
        return IMAGE
    root = box.rootfs
    if root.changes is not None:
        return ("rootfs", "changes")
    if isinstance(root, DiskRoot) and root.read_only:
        return ("rootfs", "read_only")
    shares = (("shares", i, share.mount) for i, share in enumerate(box.shares))
    disks = (("disks", i, disk.mount) for i, disk in enumerate(box.disks))
    for key, i, mount in (*shares, *disks):
        if mount is not None:
            return (key, i, "mount")
    for key in ("tmpfs", "hostname", "hosts", "dns"):
        if getattr(box, key):
            return (key,)
    for key in ("user", "before"):
        if getattr(box.entrypoint, key) is not None:
            return ("entrypoint", key)
    return ("stop", "on_sigterm") if box.stop.on_sigterm == "terminate" else ()


def _passt(box: Box) -> list[tuple[int, PasstDevice]]:
    """Return the network devices that are passt's, with their numbers. The stage sets up the first,
    unless libkrun's init asks for its address."""
    devices = box.network.devices if isinstance(box.network, NetworkDevices) else ()
    return [(i, device) for i, device in enumerate(devices) if isinstance(device, PasstDevice)]


def possible(box: Box) -> bool:
    """Tell whether the VM of BOX can start with the stage: another init, or the system that a
    firmware boots, starts what it likes."""
    return box.boot.init is None and box.boot.firmware is None


def outer(box: Box, target: Target) -> Box:
    """Return the box of the VM in which the stage makes what BOX says."""
    table = _table()
    shares = box.shares
    read_only = True
    if isinstance(box.rootfs, DirectoryRoot):
        root = box.rootfs
        read_only = is_kept(root)
        window = root.dax_mib if box.origin("rootfs", "dax") else 0
        share = Share(table["share"], root.path, read_only, window, "complete", root.overlay, None)
        shares = (*shares, share)
    # A family without a version has libkruns that are older than the function that forbids writing.
    # Where the plan needs that function anyway, nothing is lost by using it.
    known = target.family == 2 or target.version is not None
    forbids = known or any(share.read_only for share in shares)
    forbids = forbids and lacks(functions()["krun_add_virtiofs3"], target) is None
    program, orders = table["program"]
    return box._replace(
        shares=shares,
        rootfs=DirectoryRoot(table["root"], forbids, 0 if forbids else ROOT_WINDOW, (), None),
        vsock=(*box.vsock, VsockPort(table["port"], table["socket"], False)),
        entrypoint=Entrypoint(program, None, (orders,), {}, "/", None, None),
    )


def is_kept(root: DirectoryRoot | DiskRoot | NoRoot) -> bool:
    """Tell whether the guest's changes to ROOT stay out of what the host has of it."""
    return root.read_only or (root.changes is not None and root.changes.keep != "host")


def placed(operation: Operation, box: Box, because: Path) -> Operation:
    """Return OPERATION of the outer box of BOX with the keys of BOX itself: BECAUSE is the one that
    asks for the stage."""
    places = {name: _own(path, box, because) for name, path in operation.places.items()}
    origin, need = (_own(path, box, because) for path in (operation.origin, operation.need))
    if operation.args.get("block_id") == ROOT_DISK:
        origin = IMAGE
    elif operation.origin == () and operation.name in _OF_THE_STAGE:
        is_root = operation.args.get("tag") == _table()["share"]
        origin = box.origin("rootfs", "path") if is_root else because
    return operation._replace(origin=origin, places=places, need=need)


# The calls that stand for what the outer box has and BOX has not said.
_OF_THE_STAGE = (
    "krun_add_virtiofs", "krun_add_virtiofs2", "krun_add_virtiofs3", "krun_set_root",
    "krun_add_vsock_port", "krun_add_vsock_port2", "krun_set_exec", "krun_set_workdir",
    "krun_add_vsock",
)  # fmt: skip


def _own(path: Path, box: Box, because: Path) -> Path:
    match path:
        case ("shares", int(i), *rest) if i == len(box.shares):
            if rest == ["read_only"] and box.rootfs.changes is not None:
                return ("rootfs", "changes")
            return ("rootfs", *rest)
        case ("disks", int(i), *_) if box.image is not None and i == len(box.disks) - 1:
            return IMAGE
        case ("vsock", int(i), *_) if i == len(box.vsock):
            return because
        case ("rootfs" | "entrypoint", *_):
            return because
        case _:
            return path


def orders(box: Box, because: Path) -> Iterator[Operation]:
    """Yield the orders of the stage, in the order in which it follows them."""
    yield _order("report", because, {"port": _table()["port"]})
    yield from _root(box)
    yield from _mounts(box)
    yield from _names(box)
    entrypoint = box.entrypoint
    if entrypoint.user is not None:
        user = box.origin_or_image("entrypoint", "user")
        yield _order("user", user, {"user": entrypoint.user}, {"user": user})
    if entrypoint.before is not None:
        before: Path = ("entrypoint", "before")
        yield _order("before", before, {"script": entrypoint.before}, {"script": before})
    workdir = box.origin("entrypoint", "workdir")
    if box.image is not None and box.image.run.working_dir is not None:
        workdir = workdir or IMAGE
    yield _order(
        "workdir",
        workdir,
        {"workdir_path": normpath("/" + entrypoint.workdir.lstrip("/"))},
        {"workdir_path": workdir or ("entrypoint", "workdir")},
    )
    args, places = process.started(box, entrypoint.script)
    yield _order("program", box.origin_or_image("entrypoint"), args, places)


def _order(
    name: str, origin: Path, args: dict[str, Any], places: dict[str, Path] | None = None
) -> Operation:
    return Operation("order", name, origin, args, places=places or {})


def _root(box: Box) -> Iterator[Operation]:
    changes = box.rootfs.changes
    access = _access(is_kept(box.rootfs) or _is_on_read_only(box))
    match box.rootfs:
        case DirectoryRoot():
            args = {"tag": _table()["share"], "access": access}
            yield _order("root_share", box.origin("rootfs", "path"), args)
        case DiskRoot(disk, device, fstype, options):
            args = {
                "device": device or device_of(box, disk),
                "fstype": fstype,
                "options": options,
                "access": access,
            }
            places: dict[str, Path] = {name: ("rootfs", name) for name in args}
            yield _order("root_disk", box.origin("rootfs"), args, places)
    where: Path = ("rootfs", "changes")
    if changes is not None and changes.keep == "discard":
        # Both keys ask for it, where both are stated.
        origin = ("rootfs",) if changes.size_mib is not None else box.origin(*where)
        places = {"size_mib": ("rootfs", "size")}
        yield _order("discard_changes", origin, {"size_mib": changes.size_mib}, places)
    elif changes is not None and changes.keep == "disk":
        device = device_of(box, changes.disk)
        # A disk that is not there is found by the rules.
        for fstype in [disk.fstype for disk in box.disks if disk.id == changes.disk][:1]:
            yield _order("keep_changes", where, {"device": device, "fstype": fstype})


def _is_on_read_only(box: Box) -> bool:
    """Tell whether the root is on a disk that is read-only, which the rules let be mounted so."""
    root = box.rootfs
    return isinstance(root, DiskRoot) and any(
        disk.read_only for disk in box.disks if disk.id == root.disk
    )


def _mounts(box: Box) -> Iterator[Operation]:
    """Yield what is mounted, that which lies in another mount behind it."""
    mounts = []
    for i, tmpfs in enumerate(box.tmpfs):
        at: Path = ("tmpfs", i)
        args: dict[str, Any] = tmpfs._asdict()
        places = {name: box.origin(*at, key) or at for name, key in _TMPFS.items()}
        mounts.append(_order("mount_tmpfs", at, args, places))
    for i, share in enumerate(box.shares):
        if share.mount is not None:
            at = ("shares", i, "mount")
            args = {"path": share.mount, "tag": share.tag, "access": _access(share.read_only)}
            mounts.append(_order("mount_share", at, args, {"path": at}))
    for i, disk in enumerate(box.disks):
        if disk.mount is not None:
            at = ("disks", i, "mount")
            args = {
                "path": disk.mount,
                "device": device_of(box, disk.id),
                "fstype": disk.fstype,
                "options": disk.options,
                "access": _access(disk.read_only),
            }
            places = {name: ("disks", i, name) for name in ("fstype", "options")}
            mounts.append(_order("mount_disk", at, args, {**places, "path": at}))
    return iter(sorted(mounts, key=lambda mount: mount.args["path"].split("/")))


_TMPFS = {"path": "path", "size_mib": "size", "mode": "mode"}


def _access(read_only: bool) -> str:
    return "read" if read_only else "read-write"


def _names(box: Box) -> Iterator[Operation]:
    passt = _passt(box)
    device = next((i for i, one in passt if not one.dhcp), None)
    if device is not None:
        given = {name: PASST[name] for name in ("address", "prefix", "gateway")}
        yield _order("interface", ("network",), {"name": f"eth{device}", **given})
    if box.hostname is not None:
        name: Path = ("hostname",)
        yield _order("hostname", name, {"name": box.hostname}, {"name": name})
    for host, address in box.hosts.items():
        at: Path = ("hosts", host)
        yield _order("host", at, {"name": host, "address": address}, {"name": at, "address": at})
    for i, address in enumerate(box.dns):
        at = ("dns", i)
        yield _order("nameserver", at, {"address": address}, {"address": at})
    # Also where libkrun's init asks for the address: what it writes is not in the program's root.
    if passt and not box.dns:
        yield _order("nameserver", ("network",), {"address": PASST["resolver"]})


def stop(box: Box, target: Target) -> Iterator[Operation]:
    """Tell what SIGTERM does to a VM with the stage."""
    del target
    asked_for = box.stop.on_sigterm or "terminate"
    if asked_for != "kill":
        args = {"signal": _SIGNALS[asked_for], "grace_s": box.stop.grace_s}
        of_image = box.stop.on_sigterm is not None and not box.origin("stop", "on_sigterm")
        origin = box.origin_or_image("stop") if of_image else box.origin("stop")
        yield Operation("step", "pass_sigterm", origin, args)
