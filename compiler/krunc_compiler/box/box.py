"""The box, typed, with every default filled in. Sizes are in MiB."""

from typing import TYPE_CHECKING, Any, NamedTuple

from krunc_compiler.box.consoles import Console, Descriptor, Log
from krunc_compiler.box.networks import NetworkDevices, NoNetwork, Tsi
from krunc_compiler.findings.finding import Path

if TYPE_CHECKING:  # few boxes have an image
    from krunc_compiler.image.lock import LockedImage

# The key that names the image.
IMAGE: Path = ("rootfs", "image")


class Machine(NamedTuple):
    """The virtual machine itself."""

    cpus: int
    memory_mib: int
    nested: bool
    split_irqchip: bool
    oem_strings: tuple[str, ...]
    tee: str | None


class Kernel(NamedTuple):
    """A kernel instead of libkrunfw's."""

    path: str
    format: str
    initramfs: str | None
    cmdline: str | None


class Boot(NamedTuple):
    """What the guest boots; what is None is libkrun's own."""

    kernel: Kernel | None
    firmware: str | None
    init: str | None


class Overlay(NamedTuple):
    """A file, or an empty directory, on top of a directory of the host. Exactly one of text, file,
    base64 and directory is given; a mode that is not is that of its kind."""

    path: str
    text: str | None
    file: str | None
    base64: str | None
    directory: bool
    mode: int
    once: bool


class Changes(NamedTuple):
    """What becomes of the guest's changes to its root: `keep` is discard, disk or host. Discarded
    ones take at most size_mib of memory, None for half of it; `disk` is the id of the disk that
    keeps them."""

    keep: str
    size_mib: int | None
    disk: str


class DirectoryRoot(NamedTuple):
    """The guest's root is a directory of the host."""

    path: str
    read_only: bool
    dax_mib: int
    overlay: tuple[Overlay, ...]
    changes: Changes | None


class DiskRoot(NamedTuple):
    """The guest's root is a file system on one of the disks."""

    disk: str
    device: str | None
    fstype: str
    options: str | None
    read_only: bool
    changes: Changes | None


class NoRoot(NamedTuple):
    """There is none: a firmware finds a system on a disk."""

    read_only: bool = False
    changes: Changes | None = None


class Share(NamedTuple):
    """A directory of the host that the guest can mount."""

    tag: str
    path: str
    read_only: bool
    dax_mib: int
    semantics: str
    overlay: tuple[Overlay, ...]
    mount: str | None


class Disk(NamedTuple):
    """A disk image or block device."""

    id: str
    path: str
    format: str
    read_only: bool
    direct_io: bool
    sync: str
    mount: str | None
    fstype: str
    options: str | None


class Tmpfs(NamedTuple):
    """An empty file system in the guest's memory; size_mib is None for half of it."""

    path: str
    size_mib: int | None
    mode: str


class VsockPort(NamedTuple):
    """A Unix socket of the host joined to a vsock port of the guest."""

    port: int
    socket: str
    listen: bool


class Agent(NamedTuple):
    """The agent's two channels."""

    listen: str | None
    notify: str | None


class VhostUser(NamedTuple):
    """A virtio device that another program serves."""

    type: str
    socket: str
    name: str | None
    queue_sizes: tuple[int, ...]


class Gpu(NamedTuple):
    """A virtio GPU; window_mib is None for libkrun's own."""

    flags: tuple[str, ...]
    window_mib: int | None


class Display(NamedTuple):
    """A display of the GPU."""

    width: int
    height: int
    edid: str | None
    dpi: int | None
    size_mm: tuple[int, int] | None
    refresh_rate: int | None


class Secret(NamedTuple):
    """A value that the launcher fetches: `source` is from_env, from_file or from_fd, of `name`."""

    source: str
    name: str | int


class Entrypoint(NamedTuple):
    """What the guest runs: a program, or a script for /bin/sh (then executable is empty); neither
    where a firmware starts a system of its own."""

    executable: str
    script: str | None
    args: tuple[str, ...]
    env: dict[str, str | Secret]
    workdir: str
    user: str | None
    before: str | None

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is no program and no script."""
        return not self.executable and self.script is None


class Stop(NamedTuple):
    """What a SIGTERM does: terminate, interrupt, kill, or None when the box leaves it open; after
    one of the first two the program has grace_s seconds."""

    on_sigterm: str | None
    grace_s: int


class RunAs(NamedTuple):
    """The host user that the VM's process becomes."""

    uid: int
    gid: int


class Egress(NamedTuple):
    """Where TSI may connect to."""

    cidrs: tuple[str, ...]
    hosts: tuple[str, ...]
    resolvers: tuple[str, ...]


class Smolmachines(NamedTuple):
    """What only that fork of libkrun has."""

    egress: Egress | None
    control_socket: str | None
    cpu_template: str | None


class Waiver(NamedTuple):
    """A rule of a policy that the box may break, and why."""

    rule: str
    reason: str


class Box(NamedTuple):
    """One microVM. `arch` is what the box names, or its image is for. `written` is the value that
    the box itself states; the rest is default, or of its IMAGE, whose file is then the last of its
    disks and the root."""

    name: str
    labels: dict[str, str]
    waivers: tuple[Waiver, ...]
    arch: str | None
    machine: Machine
    boot: Boot
    rootfs: DirectoryRoot | DiskRoot | NoRoot
    shares: tuple[Share, ...]
    disks: tuple[Disk, ...]
    tmpfs: tuple[Tmpfs, ...]
    hostname: str | None
    hosts: dict[str, str]
    dns: tuple[str, ...]
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
    timeout_s: int | None
    run_as: RunAs | None
    smolmachines: Smolmachines | None
    image: "LockedImage | None"
    written: dict[str, Any]

    def origin(self, *path: str | int) -> Path:
        """Return PATH when the box itself states it, else (): a default."""
        value: Any = self.written
        for part in path:
            if isinstance(value, dict):
                if part not in value:
                    return ()
            elif not isinstance(value, list) or part not in range(len(value)):
                return ()
            value = value[part]
        return path

    def origin_or_image(self, *path: str | int) -> Path:
        """Return PATH when the box itself states it, else the key of its image, which may; () for a
        default without one."""
        return self.origin(*path) or (IMAGE if self.image is not None else ())
