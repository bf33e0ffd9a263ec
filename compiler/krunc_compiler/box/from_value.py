"""A checked value, filled with the schema's defaults, to a Box."""

from __future__ import annotations

from typing import Any

from krunc_compiler.box.box import (
    Agent,
    Boot,
    Box,
    Disk,
    DiskRoot,
    Display,
    Egress,
    Entrypoint,
    FolderRoot,
    Gpu,
    Kernel,
    Machine,
    Overlay,
    RunAs,
    Secret,
    Share,
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

_MIB = {"MiB": 1, "GiB": 1024}


def from_filled(value: dict[str, Any], written: dict[str, Any]) -> Box:
    """Return the box of a checked and filled VALUE, of which WRITTEN is what the box states."""
    agent = value.get("agent", {})
    return Box(
        name=value["name"],
        labels=value["labels"],
        waivers=tuple(Waiver(**waiver) for waiver in value["waivers"]),
        machine=_machine(value["machine"]),
        boot=_boot(value.get("boot", {})),
        rootfs=_rootfs(value["rootfs"]),
        shares=tuple(map(_share, value["shares"])),
        disks=tuple(Disk(**disk) for disk in value["disks"]),
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
        entrypoint=_entrypoint(value["entrypoint"]),
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
        run_as=RunAs(**value["run_as"]) if "run_as" in value else None,
        smolmachines=_smolmachines(value.get("extensions", {}).get("smolmachines")),
        written=written,
    )


def mebibytes(text: str) -> int:
    """4GiB as 4096."""
    return int(text[:-3]) * _MIB[text[-3:]]


def _both(limit: int | str) -> str:
    return limit if isinstance(limit, str) else f"{limit}:{limit}"


def _machine(value: dict[str, Any]) -> Machine:
    return Machine(
        value["cpus"],
        mebibytes(value["memory"]),
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


def _rootfs(value: dict[str, Any]) -> FolderRoot | DiskRoot:
    if "path" in value:
        overlay = tuple(map(_overlay, value["overlay"]))
        return FolderRoot(value["path"], value["read_only"], mebibytes(value["dax"]), overlay)
    return DiskRoot(value["disk"], value.get("device"), value["fstype"], value.get("options"))


def _share(value: dict[str, Any]) -> Share:
    return Share(
        value["tag"],
        value["path"],
        value["read_only"],
        mebibytes(value["dax"]) if "dax" in value else 0,
        value["semantics"],
        tuple(map(_overlay, value["overlay"])),
    )


def _overlay(value: dict[str, Any]) -> Overlay:
    folder = "folder" in value
    mode = int(value["mode"], 8) if "mode" in value else 0o755 if folder else 0o644
    return Overlay(
        value["path"],
        value.get("text"),
        value.get("file"),
        value.get("base64"),
        folder,
        mode,
        value["once"],
    )


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
    return Gpu(tuple(value["flags"]), mebibytes(value["window"]) if "window" in value else None)


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


def _entrypoint(value: dict[str, Any]) -> Entrypoint:
    return Entrypoint(
        value.get("executable", ""),
        value.get("script"),
        tuple(value["args"]),
        {
            name: text if isinstance(text, str) else Secret(*next(iter(text.items())))
            for name, text in value["env"].items()
        },
        value["workdir"],
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
