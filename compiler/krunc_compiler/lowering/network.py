"""The guest's network: devices, TSI, or none; and the vsock device that must be added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.box.box import Box
from krunc_compiler.box.networks import (
    Device,
    NetworkDevices,
    NoNetwork,
    PasstDevice,
    TapDevice,
    Tsi,
)
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation

# What the guest's device is told of the network that passt makes up for it: QEMU's and
# slirp4netns's, which people know.
PASST = {"address": "10.0.2.15", "prefix": 24, "gateway": "10.0.2.2", "resolver": "10.0.2.3"}
_PASST_SOCKET = "passt"


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the calls of the box's network mode.

    Family 1 adds a vsock device by itself, with TSI for internet sockets unless there is a
    network device. Family 2 adds none.
    """
    match box.network:
        case Tsi():
            yield from _tsi(box, box.network, target)
        case NoNetwork():
            yield from _none(box, target)
        case NetworkDevices(devices):
            for i, device in enumerate(devices):
                if isinstance(device, PasstDevice):
                    yield _passt(device, box.network.place(i))
                yield _device(device, box.network.place(i))
            if target.family == 2 and has_ports(box):
                yield _vsock(_asks(box), [])


def has_ports(box: Box) -> bool:
    """Tell whether any Unix socket is joined to a vsock port."""
    return bool(box.vsock or box.agent.listen or box.agent.notify)


def _asks(box: Box) -> Path:
    return box.origin("vsock") if box.vsock else box.origin("agent")


def _tsi(box: Box, tsi: Tsi, target: Target) -> Iterator[Operation]:
    wanted = [name for name, on in (("hijack_inet", tsi.inet), ("hijack_unix", tsi.unix)) if on]
    if target.family == 2:
        yield _vsock(box.origin("network"), wanted)
    elif wanted != ["hijack_inet"]:
        key = ("network", "unix") if tsi.unix else ("network", "inet")
        yield Operation("call", "krun_disable_implicit_vsock", box.origin("network"), need=key)
        yield _vsock(box.origin("network"), wanted)
    if tsi.ports is not None:
        # Never called, it would publish every port that the guest listens on.
        origin = box.origin("network", "ports")
        yield Operation(
            "call",
            "krun_set_port_map",
            origin or box.origin("network"),
            {"port_map": list(tsi.ports)},
            places={"port_map": ("network", "ports")},
        )


def _none(box: Box, target: Target) -> Iterator[Operation]:
    origin = box.origin("network")
    if target.family == 1:
        yield Operation("call", "krun_disable_implicit_vsock", origin, need=("network", "mode"))
    if has_ports(box):
        yield _vsock(origin if target.family == 1 else _asks(box), [])


def _vsock(origin: Path, tsi_features: list[str]) -> Operation:
    return Operation("call", "krun_add_vsock", origin, {"tsi_features": tsi_features})


def _passt(device: PasstDevice, where: Path) -> Operation:
    places: dict[str, Path] = {"program": (*where, "program")}
    ports: dict[str, list[str]] = {"tcp": [], "udp": []}
    for port in device.ports:
        listed = ports[port.protocol]
        places[f"{port.protocol}_ports[{len(listed)}]"] = (*where, "ports", port.key)
        listed.append(port.pair())
    args = {
        "program": device.program,
        **PASST,
        "host_loopback": device.host_loopback,
        "tcp_ports": ports["tcp"],
        "udp_ports": ports["udp"],
        "name": _PASST_SOCKET,
    }
    return Operation("step", "start_passt", where, args, places=places)


def _device(device: Device, where: Path) -> Operation:
    common: dict[str, Any] = {"mac": device.mac, "features": list(device.features)}
    dhcp = ["dhcp_client"] if device.dhcp else []
    places: dict[str, Path] = {"mac": (*where, "mac"), "flags": (*where, "dhcp")}
    places["features"] = (*where, "features")
    need = (*where, "dhcp") if device.dhcp else ()
    if isinstance(device, TapDevice):
        args = {"tap_name": device.device, **common, "flags": dhcp}
        places["tap_name"] = (*where, "device")
        return Operation("call", "krun_add_net_tap", where, args, places=places, need=need)
    if isinstance(device, PasstDevice):
        args = {"path": None, "fd": {"opened": _PASST_SOCKET}, **common, "flags": dhcp}
        name = "krun_add_net_unixstream"
        return Operation("call", name, where, args, places=places, need=need)
    args = {
        "path": device.socket,
        "fd": "none" if device.fd is None else device.fd,
        **common,
        "flags": [*(["vfkit"] if device.vfkit else []), *dhcp],
    }
    places["path"] = (*where, "socket")
    name = "krun_add_net_unixgram" if device.datagram else "krun_add_net_unixstream"
    return Operation("call", name, where, args, places=places, need=need)
