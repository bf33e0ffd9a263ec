"""Roots for guests: busybox in all its names, a user, and small scripts in the place of programs."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import guests

# Programs of the boxes that are launched beside a recording libkrun.
_NAMES = (
    "/a",
    "/x",
    "/bin/a",
    "/bin/agent",
    "/bin/b",
    "/bin/busybox",
    "/bin/echo",
    "/bin/sh",
    "/bin/true",
)
_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "srv", "sys", "tmp", "var")
# Where the first partition of an image begins.
_FIRST = 1 << 20


def runnable(at: Path, *names: str) -> None:
    """Make a root at AT in which programs called NAMES can be found, what every guest mounts has a
    place, and no more is."""
    for name in ("dev", "proc", "sys"):
        (at / name).mkdir(parents=True, exist_ok=True)
    for name in names or _NAMES:
        file = at / name[1:]
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(0o755)


def root(at: Path, scripts: Mapping[str, str], user: str, directories: Iterable[str] = ()) -> None:
    """Make a root at AT with SCRIPTS by their paths, a USER with the number 1000, and DIRECTORIES."""
    for name in (*_DIRECTORIES, f"home/{user}", *directories):
        (at / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(guests.busybox(), at / "bin/busybox")
    # Asked of this machine's own, since the guests' may be for another one.
    for line in subprocess.check_output(["busybox", "--list"], text=True).split():
        if line != "busybox":
            (at / "bin" / line).symlink_to("busybox")
    (at / "etc/passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\n{user}:x:1000:1000::/home/{user}:/bin/sh\n"
    )
    (at / "etc/group").write_text(f"root:x:0:\n{user}:x:1000:\n")
    os.chown(at / "home" / user, 1000, 1000)
    for path, text in scripts.items():
        file = at / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        # What busybox has under this name would be written through the link.
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)


def ext4(image: Path, content: Path | None = None, first: int = 0, size: str = "16M") -> None:
    """Make an IMAGE with an ext4 at the byte FIRST, empty or with the CONTENT of a directory."""
    filled = ["-d", str(content)] if content is not None else []
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", *filled, "-E", f"offset={first}", image, size],
        check=True,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"},
    )


def partitioned(image: Path, content: Path) -> None:
    """Make a qcow2 IMAGE with one partition, an ext4 with the CONTENT of a directory."""
    raw = image.with_suffix(".raw")
    ext4(raw, content, _FIRST)
    with raw.open("r+b") as file:
        sectors = (raw.stat().st_size - _FIRST) // 512
        # One entry of a DOS partition table: a Linux partition, without cylinders and heads.
        entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), _FIRST // 512, sectors)
        file.seek(446)
        file.write(entry.ljust(64, b"\0") + b"\x55\xaa")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)


def vmlinux(libkrunfw: Path, file: Path) -> None:
    """Write libkrunfw's kernel into FILE, as an ELF that is loaded and entered where libkrun would."""
    values = [ctypes.c_size_t() for _ in range(3)]
    get = ctypes.CDLL(str(libkrunfw)).krunfw_get_kernel
    get.restype = ctypes.c_void_p
    start = get(*map(ctypes.byref, values))
    load, entry, size = (value.value for value in values)
    # An ELF of 64 bits for x86-64 whose one segment begins in the file's second page.
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, load, load, size, size, 4096)
    file.write_bytes((ident + head + segment).ljust(4096, b"\0") + ctypes.string_at(start, size))
