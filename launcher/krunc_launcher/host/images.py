"""Disk images by what is in them: libkrun opens each as the format that it is told, and follows
the names of other files that an image holds."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories

# What each format starts with: docs/interop/qcow2.rst of QEMU, the VMDK, VHDX and VDI documents.
_MAGIC = (
    ("qcow2", 0, b"QFI\xfb"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vhdx", 0, b"vhdxfile"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
)
_HEAD = 4096
_EXTERNAL_DATA = 1 << 2  # of qcow2's incompatible features


def unfit(path: str, declared: str, directories: Directories) -> Iterator[str]:
    """Tell why the image in PATH cannot be opened as the DECLARED format, or should not be."""
    try:
        handle = directories.open(path, system.O_RDONLY | system.O_NONBLOCK)
    except OSError:
        return  # the condition of the file tells why
    try:
        head = system.read(handle, _HEAD)
    except OSError:
        return
    finally:
        system.close(handle)
    found = next((name for name, at, magic in _MAGIC if head[at:].startswith(magic)), "raw")
    if found != declared:
        if declared == "raw":
            yield (
                f"{plain(path)} is declared raw and holds a {found} image: the guest would see the "
                f"image's inside, and writing would destroy it; write `format: {found}` if you "
                "trust who made it, for an image can name other host files"
            )
        else:
            what = "holds none" if found == "raw" else f"holds a {found} image"
            yield f"{plain(path)} is declared {declared} and {what}"
    elif found == "qcow2":
        yield from _qcow2(path, head)
    elif found == "vmdk" and head.startswith(b"#"):
        yield from _named(path, "further files", "")


def _qcow2(path: str, head: bytes) -> Iterator[str]:
    version = int.from_bytes(head[4:8], "big")
    offset, size = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
    if offset and size:
        name = head[offset : offset + size].decode("utf-8", "replace")
        yield from _named(path, "the backing file", name)
    if version >= 3 and int.from_bytes(head[72:80], "big") & _EXTERNAL_DATA:
        yield from _named(path, "an external data file", "")


def _named(path: str, what: str, name: str) -> Iterator[str]:
    which = f" {plain(name)}" if name else ""
    yield (
        f"{plain(path)} names {what}{which}, which the plan does not: the VM would read it unseen; "
        "make one file of them with qemu-img convert"
    )
