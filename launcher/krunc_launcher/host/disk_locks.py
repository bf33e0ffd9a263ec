"""Locks on disk images: two VMs that write to one image destroy what is in it."""

from __future__ import annotations

from fcntl import F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, fcntl, flock

from krunc_launcher import system
from krunc_launcher.errors import asked_by, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# QEMU locks bytes of an image that it has open (its block/file-posix.c): 100 and on for what it
# does, 101 for writing, 200 and on for what it does not share.
_QEMU_FIRST, _QEMU_WRITES, _QEMU_BYTES = 100, 101, 200
_F_OFD_GETLK = 36  # fcntl.h, Linux 3.15


def disks(done: list[Operation]) -> Iterator[tuple[str, bool, str]]:
    """Yield each disk: its path, whether the guest only reads it, and the key of the box."""
    for operation in done:
        for rule, path, how in operation.opens():
            if rule.get("target") == "disk":
                yield path, how == "read", operation.origin


def hold(done: list[Operation], directories: Directories) -> tuple[list[int], list[str]]:
    """Lock every disk of DONE, for as long as the descriptors are open; and what is in use."""
    held, problems = [], []
    for path, reads, origin in disks(done):
        try:
            # A FIFO in its place must not keep the launcher waiting.
            handle = directories.open(path, system.O_RDONLY | system.O_NONBLOCK)
        except OSError:
            continue  # the condition of the file tells why
        held.append(handle)
        problem = taken(handle, path, reads)
        if problem:
            problems.append(f"{problem}{asked_by(origin)}")
    return held, problems


def taken(handle: int, path: str, reads: bool) -> str:
    """Lock the file that is open as HANDLE, which others may have as well if it READS alone; who
    has it, empty where nobody has."""
    try:
        flock(handle, (LOCK_SH if reads else LOCK_EX) | LOCK_NB)
    except BlockingIOError:
        owner = _owner(handle)
        does = "writes to it" if reads else "uses it"
        return f"{plain(path)} is in use: another process {owner}{does}; stop that VM first"
    except OSError:
        return ""  # a file system without locks
    if _qemu(handle, reads):
        return f"{plain(path)} is in use by QEMU; stop that VM first"
    return ""


def _qemu(handle: int, reads: bool) -> bool:
    first, count = (_QEMU_WRITES, 1) if reads else (_QEMU_FIRST, _QEMU_BYTES)
    # struct flock of 64-bit Linux: type, whence, start, length, pid.
    asked = (F_WRLCK).to_bytes(2, "little") + bytes(6) + first.to_bytes(8, "little")
    asked += count.to_bytes(8, "little") + bytes(8)
    try:
        answer: Any = fcntl(handle, _F_OFD_GETLK, asked)
    except OSError:
        return False
    unlocked = 2
    return int.from_bytes(answer[:2], "little") != unlocked


def _owner(handle: int) -> str:
    """Return the process that has the lock, as far as /proc tells."""
    status = system.fstat(handle)
    inode = f"{system.major(status.st_dev):02x}:{system.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if "FLOCK" in fields and inode in fields:
                    return f"(process {fields[4]}) "
    except OSError:
        pass
    return ""
