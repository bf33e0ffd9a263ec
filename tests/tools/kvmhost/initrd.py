"""The first file system of the emulated machine, as the kernel wants it: a "newc" cpio archive."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from kvmhost import kernel
from kvmhost.architecture import Architecture
from kvmhost.lock import locked

# For a root of its own, of which nothing is written.
_OVERLAY_MODULES = ("overlay",)
_SOURCES = Path(__file__).parent
_KEEPS = "keep_branches"
_DIRECTORY, _PROGRAM, _FILE = 0o40755, 0o100755, 0o100644  # st_mode, inode(7)


def prepare(kind: Architecture, tree: Path, busybox: Path) -> Path:
    """The archive for this kernel, this busybox and these sources, made when the cache has none."""
    sources = {
        name: (_SOURCES / name).read_bytes() for name in ("init.sh", "serve.sh", f"{_KEEPS}.c")
    }
    origin = (kind, str(tree), _OVERLAY_MODULES, busybox.stat().st_mtime_ns, sources)
    path = kernel.cache() / f"initrd-{hashlib.sha256(repr(origin).encode()).hexdigest()[:16]}"
    with locked(kernel.cache()):
        if not path.exists():
            new = path.with_suffix(".new")
            new.write_bytes(_archive(_contents(kind, tree, busybox, sources)))
            new.rename(path)
    return path


def _contents(
    kind: Architecture, tree: Path, busybox: Path, sources: Mapping[str, bytes]
) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of each file; directories come before what is in them."""
    for directory in ("bin", "dev", "proc", "sys", "root", "host", "lower", "upper", "modules"):
        yield directory, _DIRECTORY, b""
    yield "init", _PROGRAM, sources["init.sh"]
    yield "serve.sh", _FILE, sources["serve.sh"]
    if kind.is_own:
        yield _KEEPS, _PROGRAM, _compiled(f"{_KEEPS}.c")
    yield "bin/busybox", _PROGRAM, busybox.read_bytes()
    for group, names in (
        ("root", kind.root_modules),
        ("other", kind.other_modules),
        ("overlay", _OVERLAY_MODULES if kind.is_own else ()),
    ):
        yield f"modules/{group}", _DIRECTORY, b""
        for i, (name, data) in enumerate(kernel.modules(tree, names).items()):
            yield f"modules/{group}/{i:02}-{name}.ko", _FILE, data


def _compiled(name: str) -> bytes:
    """A source as a static program of this machine."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "program")
        kernel.run(["cc", "-Os", "-static", "-o", str(program), str(_SOURCES / name)])
        return program.read_bytes()


def _archive(files: Iterator[tuple[str, int, bytes]]) -> bytes:
    """Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source."""
    parts = []
    for inode, (name, mode, data) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, 2 x device, 2 x rdev, name's size, checksum
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)
