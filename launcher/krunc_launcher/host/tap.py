"""Whether a tap interface can be used: with a missing one the VM hangs without a word."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERFACES = "/sys/class/net"
_TUN = "/dev/net/tun"
_IFF_TAP = 0x0002  # linux/if_tun.h
_CAP_NET_ADMIN = 1 << 12  # linux/capability.h


def missing(name: str, interfaces: str = _INTERFACES) -> Iterator[str]:
    """Tell why the launching user cannot attach a VM to the tap interface NAME."""
    directory = system.join(interfaces, name)
    if "/" in name or name in (".", "..") or not system.isdir(directory):
        yield (
            f"{plain(name)}: there is no such network interface; make one with "
            f"ip tuntap add {plain(name)} mode tap user {system.geteuid()}"
        )
        return
    flags = _read(system.join(directory, "tun_flags"))
    if flags is None or not int(flags, 16) & _IFF_TAP:
        yield f"{plain(name)} is not a tap interface"
        return
    owner = _read(system.join(directory, "owner"))
    if owner != str(system.geteuid()) and not _may_administer():
        yield (
            f"{plain(name)} belongs to uid {owner}, and you (uid {system.geteuid()}) have no "
            "CAP_NET_ADMIN; make it yours: ip tuntap add ... user"
        )
    if not system.access(_TUN, system.R_OK | system.W_OK):
        yield f"{_TUN}: you (uid {system.geteuid()}) cannot read and write it"


def _read(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def _may_administer() -> bool:
    with open("/proc/self/status") as file:
        held = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) & _CAP_NET_ADMIN)
