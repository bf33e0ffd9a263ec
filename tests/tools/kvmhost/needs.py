"""What the emulated machine needs of this one, and which package brings what is missing."""

import os
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

from kvmhost import foreign, kernel
from kvmhost.architecture import Architecture
from kvmhost.errors import HostError

# Debian 12 keeps virtiofsd with QEMU's own programs, Debian 13 below libexec.
_VIRTIOFSD_PATH = "/usr/lib/qemu:/usr/libexec:/usr/bin"
_VIRTIOFSD = "virtiofsd (apt-get install qemu-system-common, from Debian 13 on virtiofsd)"
_COMPILER = "a C compiler (apt-get install gcc libc6-dev)"
_BUSYBOX = "a statically linked busybox (apt-get install busybox-static)"

_PT_INTERP = 3  # elf(5): names the dynamic loader; a static program has none


class Programs(NamedTuple):
    qemu: str
    virtiofsd: str
    busybox: Path


def find(kind: Architecture) -> Programs:
    """The programs, or one error that names everything that is missing."""
    qemu = shutil.which(kind.qemu)
    virtiofsd = shutil.which("virtiofsd", path=_VIRTIOFSD_PATH)
    wanted = {f"{kind.qemu} (apt-get install {kind.package})": qemu, _VIRTIOFSD: virtiofsd}
    busybox: str | None = None
    if kind.is_own:
        busybox = shutil.which("busybox")
        wanted[_COMPILER] = shutil.which("cc")
        has_kernel = kernel.cached(kind) or kernel.current_package(kind)
        wanted[_BUSYBOX] = busybox if busybox and _is_static(Path(busybox)) else None
        wanted[f"the kernel package {kind.kernel} (apt-get update)"] = has_kernel and "there"
    else:  # its root brings both
        wanted["apt-get and dpkg-deb"] = shutil.which("apt-get") and shutil.which("dpkg-deb")
    missing = [name for name, found in wanted.items() if not found]
    if os.geteuid() != 0:
        missing.append("root: virtiofsd serves the files of every user")
    if missing or not (qemu and virtiofsd):
        raise HostError("missing on this machine:" + "".join(f"\n  {name}" for name in missing))
    return Programs(
        qemu, virtiofsd, Path(busybox) if busybox else foreign.root(kind) / "bin/busybox"
    )


def _is_static(program: Path) -> bool:
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [struct.unpack_from("<I", data, offset + size * i)[0] for i in range(count)]
    return _PT_INTERP not in kinds
