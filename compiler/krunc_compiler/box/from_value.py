"""A checked value, filled with the schema's defaults, to a Box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from krunc_compiler.box import storage_from_value as storage
from krunc_compiler.box.box import (
    Agent,
    Boot,
    Box,
    Display,
    Egress,
    Entrypoint,
    Gpu,
    Kernel,
    Machine,
    RunAs,
    Secret,
    Smolmachines,
    Stop,
    VhostUser,
    VsockPort,
    Waiver,
)
from krunc_compiler.box.consoles import (
    Console,
    ConsolePort,
    Descriptor,
    Endpoint,
    File,
    Log,
    PortsConsole,
    SerialConsole,
    VirtioConsole,
)
from krunc_compiler.box.networks import (
    LOCAL,
    Device,
    NetworkDevices,
    NoNetwork,
    PasstDevice,
    Published,
    SocketDevice,
    TapDevice,
    Tsi,
)
from krunc_compiler.image.platform import arch_of

if TYPE_CHECKING:  # few boxes have an image
    from krunc_compiler.image.lock import LockedImage

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def from_filled(
    value: dict[str, Any], written: dict[str, Any], image: LockedImage | None = None
) -> Box:
    """Return the box of a checked and filled VALUE, of which WRITTEN is what the box states, and
    IMAGE its root, where that is one."""
    agent = value.get("agent", {})
    return Box(
        name=value["name"],
        labels=value["labels"],
        waivers=tuple(Waiver(**waiver) for waiver in value["waivers"]),
        arch=value.get("arch") or (arch_of(image.platform) if image is not None else None),
        machine=_machine(value["machine"]),
        boot=_boot(value.get("boot", {})),
        rootfs=storage.root(value.get("rootfs")),
        shares=tuple(map(storage.share, value["shares"])),
        disks=tuple(map(storage.disk, value["disks"])),
        tmpfs=tuple(map(storage.tmpfs, value["tmpfs"])),
        hostname=value.get("hostname"),
        hosts=value["hosts"],
        dns=tuple(value.get("dns", ())),
        network=_network(value["network"]),
        vsock=tuple(VsockPort(**port) for port in value["vsock"]),
        agent=Agent(agent.get("listen"), agent.get("notify")),
        vhost_user=tuple(map(_vhost_user, value["vhost_user"])),
        gpu=_gpu(value.get("gpu")),
        displays=tuple(map(_display, value["displays"])),
        input_devices=tuple(
            Descriptor(item["fd"]) if "fd" in item else item["device"]
            for item in value["input_devices"]
        ),
        sound=value["sound"],
        entrypoint=_entrypoint(value.get("entrypoint")),
        limits={name: _both(limit) for name, limit in value["limits"].items()},
        console=_console(value["console"]),
        log=Log(
            value["log"]["level"],
            _endpoint(value["log"]["target"]),
            value["log"]["style"],
            value["log"]["environment"],
        ),
        confine=value["confine"],
        stop=Stop(value["stop"].get("on_sigterm"), value["stop"]["grace"]),
        timeout_s=seconds(value["timeout"]) if "timeout" in value else None,
        run_as=RunAs(**value["run_as"]) if "run_as" in value else None,
        smolmachines=_smolmachines(value.get("extensions", {}).get("smolmachines")),
        image=image,
        written=written,
    )


def seconds(text: str) -> int:
    """10m as 600."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def _both(limit: int | str) -> str:
    return limit if isinstance(limit, str) else f"{limit}:{limit}"


def _machine(value: dict[str, Any]) -> Machine:
    return Machine(
        value["cpus"],
        storage.mebibytes(value["memory"]),
        value["nested"],
        value["split_irqchip"],
        tuple(value["oem_strings"]),
        value.get("tee"),
    )


def _boot(value: dict[str, Any]) -> Boot:
    kernel = value.get("kernel")
    if kernel is not None:
        kernel = Kernel(
            kernel["path"], kernel["format"], kernel.get("initramfs"), kernel.get("cmdline")
        )
    return Boot(kernel, value.get("firmware"), value.get("init"))


def _network(value: dict[str, Any]) -> Tsi | NoNetwork | NetworkDevices:
    match value["mode"]:
        case "none":
            return NoNetwork()
        case "tsi":
            ports = None if value["ports"] == "all" else tuple(value["ports"])
            return Tsi(ports, value["inet"], value["unix"])
        case "devices":
            return NetworkDevices(tuple(map(_network_device, value["devices"])), False)
        case _:
            return NetworkDevices((_network_device(value),), True)


def _published(text: str, key: int) -> Published:
    """[ADDRESS:]HOST:GUEST[/PROTOCOL] with what it leaves out: for this host alone, TCP."""
    pair, _, protocol = text.partition("/")
    *address, host, guest = pair.split(":")
    return Published(protocol or "tcp", "".join(address) or LOCAL, int(host), int(guest), key)


def _network_device(value: dict[str, Any]) -> Device:
    features = tuple(value["features"])
    if value["mode"] == "passt":
        ports = tuple(_published(text, i) for i, text in enumerate(value["ports"]))
        alone, dhcp = value["host_loopback"], value["dhcp"]
        return PasstDevice(value["program"], ports, alone, value["mac"], features, dhcp)
    if value["mode"] == "tap":
        return TapDevice(value["device"], value["mac"], features, value["dhcp"])
    datagram = value["mode"] == "unixgram"
    return SocketDevice(
        datagram,
        value.get("socket"),
        value.get("fd"),
        value["mac"],
        features,
        datagram and value["vfkit"],
        value["dhcp"],
    )


def _vhost_user(value: dict[str, Any]) -> VhostUser:
    sizes = tuple(value.get("queue_sizes", ()))
    return VhostUser(value["type"], value["socket"], value.get("name"), sizes)


def _gpu(value: dict[str, Any] | None) -> Gpu | None:
    if value is None:
        return None
    return Gpu(
        tuple(value["flags"]), storage.mebibytes(value["window"]) if "window" in value else None
    )


def _display(value: dict[str, Any]) -> Display:
    size = value.get("size_mm")
    return Display(
        value["width"],
        value["height"],
        value.get("edid"),
        value.get("dpi"),
        (size[0], size[1]) if size else None,
        value.get("refresh_rate"),
    )


def _entrypoint(value: dict[str, Any] | None) -> Entrypoint:
    if value is None:
        return Entrypoint("", None, (), {}, "/", None, None)
    return Entrypoint(
        value.get("executable", ""),
        value.get("script"),
        tuple(value["args"]),
        {
            name: text if isinstance(text, str) else Secret(*next(iter(text.items())))
            for name, text in value["env"].items()
        },
        value["workdir"],
        str(value["user"]) if "user" in value else None,
        value.get("before"),
    )


def _endpoint(value: str | dict[str, Any]) -> Endpoint:
    if isinstance(value, str):
        return value
    return Descriptor(value["fd"]) if "fd" in value else File(value["file"])


def _console(value: dict[str, Any]) -> Console:
    return Console(
        value.get("output"),
        tuple(map(_console_device, value.get("devices", ()))),
        value.get("kernel"),
    )


def _console_device(value: dict[str, Any]) -> VirtioConsole | SerialConsole | PortsConsole:
    match value["type"]:
        case "virtio":
            ends = (_endpoint(value[key]) for key in ("input", "output", "error"))
            return VirtioConsole(*ends)
        case "serial":
            return SerialConsole(_endpoint(value["input"]), _endpoint(value["output"]))
        case _:
            return PortsConsole(tuple(map(_console_port, value["ports"])))


def _console_port(value: dict[str, Any]) -> ConsolePort:
    terminal = value.get("terminal")
    return ConsolePort(
        value["name"],
        Descriptor(terminal["fd"]) if isinstance(terminal, dict) else terminal,
        _endpoint(value["input"]),
        _endpoint(value["output"]),
    )


def _smolmachines(value: dict[str, Any] | None) -> Smolmachines | None:
    if value is None:
        return None
    egress = value.get("egress")
    if egress is not None:
        egress = Egress(*(tuple(egress.get(key, ())) for key in ("cidrs", "hosts", "resolvers")))
    return Smolmachines(egress, value.get("control_socket"), value.get("cpu_template"))
