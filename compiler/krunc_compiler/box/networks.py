"""How a box reaches a network."""

from typing import NamedTuple

from krunc_compiler.findings.finding import Path

# Where a published port is opened that names no address: only the host itself can connect.
LOCAL = "127.0.0.1"


class Tsi(NamedTuple):
    """The guest's sockets are the host's; ports is None when all are published."""

    ports: tuple[str, ...] | None
    inet: bool
    unix: bool


class NoNetwork(NamedTuple):
    """Neither a network device nor TSI."""


class SocketDevice(NamedTuple):
    """A virtio-net device whose frames go over a Unix socket, named or handed down."""

    datagram: bool
    socket: str | None
    fd: int | None
    mac: str
    features: tuple[str, ...]
    vfkit: bool
    dhcp: bool


class Published(NamedTuple):
    """A port of the guest that is opened on the host; `key` is its place in the list."""

    protocol: str
    address: str
    host: int
    guest: int
    key: int

    def pair(self) -> str:
        """Return it as a plan has it."""
        return f"{self.address}:{self.host}:{self.guest}"


class PasstDevice(NamedTuple):
    """A virtio-net device that a passt of its own serves, started with the VM."""

    program: str
    ports: tuple[Published, ...]
    host_loopback: bool
    mac: str
    features: tuple[str, ...]
    dhcp: bool


class TapDevice(NamedTuple):
    """A virtio-net device on a tap interface of the host."""

    device: str
    mac: str
    features: tuple[str, ...]
    dhcp: bool


Device = SocketDevice | TapDevice | PasstDevice


class NetworkDevices(NamedTuple):
    """Network devices: eth0, eth1 and so on. `single` when the box has one without a list."""

    devices: tuple[Device, ...]
    single: bool

    def place(self, index: int) -> Path:
        """Tell where in the box the device stands."""
        return ("network",) if self.single else ("network", "devices", index)
