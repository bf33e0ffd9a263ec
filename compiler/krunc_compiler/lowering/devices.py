"""GPU, displays, input, sound, and the devices that other programs serve."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box, Display
from krunc_compiler.box.consoles import Descriptor
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation


def gpu(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the GPU; its window is libkrun's own unless the box says another."""
    del target
    if box.gpu is None:
        return
    flags = {"virgl_flags": list(box.gpu.flags)}
    places: dict[str, Path] = {"virgl_flags": ("gpu", "flags")}
    if box.gpu.window_mib is None:
        yield Operation("call", "krun_set_gpu_options", ("gpu",), flags, places=places)
        return
    args = {**flags, "shm_size": box.gpu.window_mib << 20}
    places["shm_size"] = ("gpu", "window")
    yield Operation("call", "krun_set_gpu_options2", ("gpu",), args, places=places)


def displays(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the displays; libkrun numbers them from 0 in this order."""
    del target
    for i, display in enumerate(box.displays):
        where: Path = ("displays", i)
        size = {"width": display.width, "height": display.height}
        yield Operation("call", "krun_add_display", where, size)
        yield from _reported(i, display, where)


def _reported(i: int, display: Display, where: Path) -> Iterator[Operation]:
    number = {"display_id": i}
    if display.edid is not None:
        place = (*where, "edid")
        args = {**number, "edid_blob": {"file": display.edid}}
        yield Operation("call", "krun_display_set_edid", place, args, places={"edid_blob": place})
    if display.dpi is not None:
        args = {**number, "dpi": display.dpi}
        yield Operation("call", "krun_display_set_dpi", (*where, "dpi"), args)
    if display.size_mm is not None:
        width, height = display.size_mm
        args = {**number, "width_mm": width, "height_mm": height}
        yield Operation("call", "krun_display_set_physical_size", (*where, "size_mm"), args)
    if display.refresh_rate is not None:
        args = {**number, "refresh_rate": display.refresh_rate}
        yield Operation("call", "krun_display_set_refresh_rate", (*where, "refresh_rate"), args)


def inputs(box: Box, target: Target) -> Iterator[Operation]:
    """Input devices of the host, opened by the launcher or handed down to it."""
    del target
    for i, device in enumerate(box.input_devices):
        where: Path = ("input_devices", i)
        descriptor: object
        if isinstance(device, Descriptor):
            descriptor = device.fd
        else:
            descriptor = {"opened": f"input {i}"}
            place = (*where, "device")
            args = {"path": device, "access": "read-write", "name": f"input {i}"}
            yield Operation("step", "open_device", where, args, places={"path": place})
        yield Operation("call", "krun_add_input_device_fd", where, {"input_fd": descriptor})


def sound(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the sound device."""
    del target
    if box.sound:
        yield Operation("call", "krun_set_snd_device", ("sound",), {"enable": True})


def vhost_user(box: Box, target: Target) -> Iterator[Operation]:
    """Devices served over a socket; without sizes libkrun asks the program for its queues."""
    del target
    for i, device in enumerate(box.vhost_user):
        where: Path = ("vhost_user", i)
        yield Operation(
            "call",
            "krun_add_vhost_user_device",
            where,
            {
                "device_type": device.type,
                "socket_path": device.socket,
                "name": device.name,
                "num_queues": len(device.queue_sizes),
                "queue_sizes": list(device.queue_sizes) or None,
            },
            places={"socket_path": (*where, "socket"), "name": (*where, "name")},
        )
