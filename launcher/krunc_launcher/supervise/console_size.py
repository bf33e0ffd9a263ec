"""Keeps the files that a VM's consoles write from growing without end: what is old becomes a hole.

The end of a file stays where it is, so neither a writer nor `tail -f` notices, and nothing is lost
between a copy and a cut. Needs a file system that punches holes (fallocate(2): ext4, xfs, btrfs,
tmpfs).
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._krun import libc
from krunc_launcher.paths import without_links

_BLOCK = 4096
_PUNCH_KEEPING_SIZE = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h


def keep(writes: str, most: int) -> None:
    """Free all but about the last MOST bytes of a file that takes more. WRITES tells which one was
    opened, as vm/outputs.py notes it; by now another may be there, which stays as it is."""
    device, inode, path = writes.split(" ", 2)
    try:
        handle = without_links(path, system.O_WRONLY | system.O_NONBLOCK)
    except OSError:
        return
    try:
        found = system.fstat(handle)
        is_it = (found.st_dev, found.st_ino) == (int(device), int(inode))
        if is_it and found.st_blocks * 512 > most:
            old = (found.st_size - most // 2) // _BLOCK * _BLOCK
            if old > 0:
                libc.fallocate(handle, _PUNCH_KEEPING_SIZE, 0, old)
    finally:
        system.close(handle)
