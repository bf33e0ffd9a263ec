"""What an image asks of the box, and does not get: errors and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from re import fullmatch
from typing import TYPE_CHECKING

from krunc_compiler.box.box import IMAGE, Box
from krunc_compiler.box.networks import NetworkDevices, PasstDevice, Tsi
from krunc_compiler.findings.finding import Finding
from krunc_compiler.plan.kinds import rules

if TYPE_CHECKING:  # few boxes have an image
    from krunc_compiler.image.run_config import Run

_SHOWN, _LONGEST = 5, 60


def check(box: Box) -> Iterator[Finding]:
    """Tell why the image of BOX cannot be run as the box says."""
    if box.image is None:
        return
    if box.entrypoint.script is None and not box.entrypoint.executable:
        message = "the image names no program, and the box none either"
        yield Finding("KR704", message, IMAGE, hint="write `entrypoint: {executable: /PATH}`")
    for name in box.image.run.variables():
        if not fullmatch(rules("free_variable")["pattern"], name):
            message = f"the image has a variable {name[:_LONGEST]!r}, which no plan can have"
            hint = f"build the image without it; allowed: {rules('free_variable')['form']}"
            yield Finding("KR704", message, IMAGE, hint=hint)
    user = box.image.run.user
    if user is not None and user.uid == 0 and user.gid and not box.origin("entrypoint", "user"):
        message = f"the image runs its program as root in the group {user.gid}"
        hint = "write `user: root` under entrypoint: the stage starts root in its own group"
        yield Finding("KR704", message, IMAGE, hint=hint)


def lints(box: Box) -> Iterator[Finding]:
    """Tell what the image of BOX means and krunc does not do."""
    if box.image is None:
        return
    run = box.image.run
    yield from _volumes(box, run)
    if run.stop_signal not in (None, "SIGTERM") and box.stop.on_sigterm is None:
        yield Finding(
            "KR706",
            f"the image asks for {run.stop_signal} to stop its program, which gets SIGTERM",
            IMAGE,
            hint="write under stop what it is to get: `on_sigterm: terminate`, interrupt or kill",
        )
    if run.healthcheck:
        message = "the image has a command that checks its program; krunc does not run it"
        yield Finding("KR707", message, IMAGE, hint="check the program from outside")
    yield from _ports(box, run)


def _volumes(box: Box, run: Run) -> Iterator[Finding]:
    changes = box.rootfs.changes
    if changes is not None and changes.keep == "disk":
        return
    points = [
        *(tmpfs.path for tmpfs in box.tmpfs),
        *(share.mount for share in box.shares if share.mount is not None),
        *(disk.mount for disk in box.disks if disk.mount is not None),
    ]
    lost = [
        volume
        for volume in run.volumes
        if not any(volume == point or volume.startswith(f"{point}/") for point in points)
    ]
    if lost:
        what = "cannot be written" if changes is None else "is lost with the VM"
        yield Finding(
            "KR705",
            f"the image means to keep what is in {_few(lost)}, which {what}",
            IMAGE,
            hint="mount a share, a disk or a tmpfs there, or write `changes: {disk: ID}`",
        )


def _ports(box: Box, run: Run) -> Iterator[Finding]:
    published = set(_published(box))
    if run.exposed_ports and published and published.isdisjoint(run.exposed_ports):
        yield Finding(
            "KR708",
            f"the image listens on {_few(run.exposed_ports)}, and no host port leads there",
            ("network", "ports"),
            hint="write HOST:GUEST with one of these as GUEST",
        )


def _published(box: Box) -> Iterator[str]:
    """Yield the ports of the guest to which one of the host leads, as an image spells them."""
    if isinstance(box.network, Tsi):
        yield from (f"{pair.split(':')[1]}/tcp" for pair in box.network.ports or ())
    elif isinstance(box.network, NetworkDevices):
        for device in box.network.devices:
            if isinstance(device, PasstDevice):
                yield from (f"{port.guest}/{port.protocol}" for port in device.ports)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
