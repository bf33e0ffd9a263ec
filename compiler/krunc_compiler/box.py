"""The box, typed, with every default filled in; made only from a checked value."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from krunc_compiler.findings import Path

_MIB = {"MiB": 1, "GiB": 1024}
RUNTIME = "runtime:"


@dataclass(frozen=True, slots=True)
class Machine:
    """The virtual machine; memory in MiB."""

    cpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class FolderRoot:
    """The guest's root is a folder of the host."""

    path: str


@dataclass(frozen=True, slots=True)
class DiskRoot:
    """The guest's root is a file system on one of the disks."""

    disk: str
    device: str | None
    fstype: str
    options: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host that the guest can mount."""

    tag: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk image or block device."""

    id: str
    path: str
    format: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Tsi:
    """The guest's sockets are the host's; ports is None when all are published."""

    ports: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class NoNetwork:
    """Neither a network device nor TSI."""


@dataclass(frozen=True, slots=True)
class NetworkDevice:
    """A virtio-net device whose frames go over a Unix socket."""

    datagram: bool
    socket: str
    mac: str
    features: tuple[str, ...]
    vfkit: bool


@dataclass(frozen=True, slots=True)
class VsockPort:
    """A Unix socket of the host joined to a vsock port of the guest."""

    port: int
    socket: str
    listen: bool


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent's two channels."""

    listen: str | None
    notify: str | None


@dataclass(frozen=True, slots=True)
class FromEnv:
    """A value that the launcher takes from its own environment."""

    name: str


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """The guest's program."""

    executable: str
    args: tuple[str, ...]
    env: dict[str, str | FromEnv]
    workdir: str


@dataclass(frozen=True, slots=True)
class Box:
    """One microVM. `written` holds the places that the box itself states; the rest is default."""

    name: str
    machine: Machine
    rootfs: FolderRoot | DiskRoot
    shares: tuple[Share, ...]
    disks: tuple[Disk, ...]
    network: Tsi | NoNetwork | NetworkDevice
    vsock: tuple[VsockPort, ...]
    agent: Agent
    entrypoint: Entrypoint
    limits: dict[str, str]
    console_output: str | None
    log_level: str
    written: frozenset[Path]

    def origin(self, *path: str | int) -> Path:
        """PATH when the box itself states it, else (): a default."""
        return path if path in self.written else ()


def filled(value: Any, schema: dict[str, Any], validator: Draft202012Validator) -> Any:
    """VALUE, which fits SCHEMA, with SCHEMA's defaults for what it leaves out."""
    schema = _resolved(schema, validator)
    for branch in schema.get("oneOf", ()):
        if validator.evolve(schema=branch).is_valid(value):
            return filled(value, branch, validator)
    if isinstance(value, list):
        items = schema.get("items", {})
        return [filled(item, items, validator) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    result = dict(value)
    for key, rule in properties.items():
        if key in value:
            result[key] = filled(value[key], rule, validator)
        else:
            default = _resolved(rule, validator).get("default")
            if default is not None:
                result[key] = filled(deepcopy(default), rule, validator)
    return result


def _resolved(schema: dict[str, Any], validator: Draft202012Validator) -> dict[str, Any]:
    whole: Any = validator.schema
    while "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: rule for key, rule in schema.items() if key != "$ref"}}
    return schema


def from_filled(value: dict[str, Any], written: frozenset[Path]) -> Box:
    """The box of a checked and filled VALUE."""
    agent = value.get("agent", {})
    entrypoint = value["entrypoint"]
    return Box(
        name=value["name"],
        machine=Machine(value["machine"]["cpus"], mebibytes(value["machine"]["memory"])),
        rootfs=_rootfs(value["rootfs"]),
        shares=tuple(Share(**share) for share in value["shares"]),
        disks=tuple(Disk(**disk) for disk in value["disks"]),
        network=_network(value["network"]),
        vsock=tuple(VsockPort(**port) for port in value["vsock"]),
        agent=Agent(agent.get("listen"), agent.get("notify")),
        entrypoint=Entrypoint(
            entrypoint["executable"],
            tuple(entrypoint["args"]),
            {
                name: text if isinstance(text, str) else FromEnv(text["from_env"])
                for name, text in entrypoint["env"].items()
            },
            entrypoint["workdir"],
        ),
        limits={name: _both(limit) for name, limit in value["limits"].items()},
        console_output=value["console"].get("output"),
        log_level=value["log"]["level"],
        written=written,
    )


def mebibytes(text: str) -> int:
    """4GiB as 4096."""
    return int(text[:-3]) * _MIB[text[-3:]]


def _both(limit: int | str) -> str:
    return limit if isinstance(limit, str) else f"{limit}:{limit}"


def _rootfs(value: dict[str, Any]) -> FolderRoot | DiskRoot:
    if "path" in value:
        return FolderRoot(value["path"])
    return DiskRoot(value["disk"], value.get("device"), value["fstype"], value.get("options"))


def _network(value: dict[str, Any]) -> Tsi | NoNetwork | NetworkDevice:
    mode = value["mode"]
    if mode == "none":
        return NoNetwork()
    if mode == "tsi":
        ports = value["ports"]
        return Tsi(None if ports == "all" else tuple(ports))
    datagram = mode == "unixgram"
    return NetworkDevice(
        datagram,
        value["socket"],
        value["mac"],
        tuple(value["features"]),
        datagram and value["vfkit"],
    )
