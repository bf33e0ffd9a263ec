"""The box, typed, with every default filled in. Sizes are in MiB."""

from __future__ import annotations

from dataclasses import dataclass

from krunc_compiler.consoles import Console, Descriptor, Log
from krunc_compiler.findings import Path
from krunc_compiler.networks import NetworkDevices, NoNetwork, Tsi

RUNTIME = "runtime:"


@dataclass(frozen=True, slots=True)
class Machine:
    """The virtual machine itself."""

    cpus: int
    memory_mib: int
    nested: bool
    split_irqchip: bool
    oem_strings: tuple[str, ...]
    tee: str | None


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel instead of libkrunfw's."""

    path: str
    format: str
    initramfs: str | None
    cmdline: str | None


@dataclass(frozen=True, slots=True)
class Boot:
    """What the guest boots; what is None is libkrun's own."""

    kernel: Kernel | None
    firmware: str | None
    init: str | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """A file, or an empty folder, on top of a folder of the host. Exactly one of text, file,
    base64 and folder is given; a mode that is not is that of its kind."""

    path: str
    text: str | None
    file: str | None
    base64: str | None
    folder: bool
    mode: int
    once: bool


@dataclass(frozen=True, slots=True)
class FolderRoot:
    """The guest's root is a folder of the host."""

    path: str
    read_only: bool
    dax_mib: int
    overlay: tuple[Overlay, ...]


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
    dax_mib: int
    semantics: str
    overlay: tuple[Overlay, ...]


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk image or block device."""

    id: str
    path: str
    format: str
    read_only: bool
    direct_io: bool
    sync: str


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
class VhostUser:
    """A virtio device that another program serves."""

    type: str
    socket: str
    name: str | None
    queue_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A virtio GPU; window_mib is None for libkrun's own."""

    flags: tuple[str, ...]
    window_mib: int | None


@dataclass(frozen=True, slots=True)
class Display:
    """A display of the GPU."""

    width: int
    height: int
    edid: str | None
    dpi: int | None
    size_mm: tuple[int, int] | None
    refresh_rate: int | None


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the launcher fetches: `source` is from_env, from_file or from_fd, of `name`."""

    source: str
    name: str | int


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What the guest runs: a program, or a script for /bin/sh (then executable is empty)."""

    executable: str
    script: str | None
    args: tuple[str, ...]
    env: dict[str, str | Secret]
    workdir: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What a SIGTERM does: interrupt, kill, or None when the box leaves it open; after an
    interrupt the program has grace_s seconds."""

    on_sigterm: str | None
    grace_s: int


@dataclass(frozen=True, slots=True)
class RunAs:
    """The host user that the VM's process becomes."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Egress:
    """Where TSI may connect to."""

    cidrs: tuple[str, ...]
    hosts: tuple[str, ...]
    resolvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Smolmachines:
    """What only that fork of libkrun has."""

    egress: Egress | None
    control_socket: str | None
    cpu_template: str | None


@dataclass(frozen=True, slots=True)
class Waiver:
    """A rule of a policy that the box may break, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Box:
    """One microVM. `written` holds the places that the box itself states; the rest is default."""

    name: str
    labels: dict[str, str]
    waivers: tuple[Waiver, ...]
    machine: Machine
    boot: Boot
    rootfs: FolderRoot | DiskRoot
    shares: tuple[Share, ...]
    disks: tuple[Disk, ...]
    network: Tsi | NoNetwork | NetworkDevices
    vsock: tuple[VsockPort, ...]
    agent: Agent
    vhost_user: tuple[VhostUser, ...]
    gpu: Gpu | None
    displays: tuple[Display, ...]
    input_devices: tuple[str | Descriptor, ...]
    sound: bool
    entrypoint: Entrypoint
    limits: dict[str, str]
    console: Console
    log: Log
    confine: str
    stop: Stop
    run_as: RunAs | None
    smolmachines: Smolmachines | None
    written: frozenset[Path]

    def origin(self, *path: str | int) -> Path:
        """PATH when the box itself states it, else (): a default."""
        return path if path in self.written else ()
