"""Roots beside what umoci unpacks as root, read by the kernel, and checked by fsck.erofs."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from backports import zstd
from erofs_reader import read
from krunc_compiler.image.layers import Layer
from krunc_compiler.image.root import write_root
from layouts import layout
from places import TOOLS
from tars import (
    BLOCK,
    CHAR,
    END,
    FIFO,
    HARD,
    directory,
    file,
    gnu_long,
    head,
    layer,
    link,
    pax,
    written,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can unpack owners and mount")
_ACL = b"\x02\0\0\0" + b"".join(
    bytes.fromhex(row)
    for row in ("01000700ffffffff", "02000500e8030000", "04000500ffffffff", "10000700ffffffff", "20000000ffffffff")
)  # fmt: skip
_CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def _odd() -> list[Layer]:
    """Everything that a layer can have, and three layers of it."""
    first = (
        directory("./", mode=b"0000755", mtime=b"00000000007")
        + file("./etc/passwd", b"root:x:0:0\n", mode=b"0000640", uid=b"0000012", mtime=b"14000000000")
        + file("su", b"s" * 5_000, mode=b"0006755") + directory("tmp", mode=b"0001777")
        + pax({"SCHILY.xattr.security.capability": _CAPABILITY, "SCHILY.xattr.user.a": "\0b",
               "SCHILY.xattr.system.posix_acl_access": _ACL, "mtime": "1700000000.123456789"})
        + file("ping", b"p" * 4_090, mode=b"0000770")
        + pax({"SCHILY.xattr.system.posix_acl_default": _ACL, "SCHILY.xattr.trusted.t": "t"}) + directory("acl")
        + pax({"SCHILY.xattr.trusted.overlay.opaque": "y", "mtime": "-5.5"}) + file("before-1970")
        + link("l", "/etc/shadow") + link("loop", "loop") + gnu_long(b"t" * 4_095, b"K") + link("far", "x")
        + link("h", "su", HARD) + link("deep/h", "/su", HARD) + link("hl", "l", HARD)
        + head("null", CHAR, major=b"0000001", minor=b"0000003", mode=b"0000666")
        + head("disk", BLOCK, major=b"0000410", minor=b"0001001") + head("fifo", FIFO, uid=b"0001750")
        + gnu_long(b"n" * 255) + file("x", b"long") + file("a b\n\xff".encode("latin-1"))
        + gnu_long(b"/".join([b"d" * 250] * 4)) + file("x")
        + file("gone/x") + file("opaque/x") + file("opaque/y/z") + file("kind") + directory("kind2") + file("kind2/x")
        + directory("real") + link("alias", "real") + file("twice", b"1") + file("twice", b"22")
    )  # fmt: skip
    second = (
        file(".wh.gone") + file("opaque/.wh..wh..opq") + file("opaque/new") + directory("kind") + file("kind/x")
        + file("kind2", b"k") + file("alias/through") + file(".wh.su") + file("l", b"no link", mode=b"0000600")
        + link("again", "h", HARD) + directory("tmp", mode=b"0000700", uid=b"0000001")
    )  # fmt: skip
    third = file("su", b"another") + directory("alias") + file("alias/own") + file("gone/.wh.no")
    return [layer(first + END), layer(second + END), layer(third + END)]


def _alpine() -> list[Layer]:
    """Alpine's root, which the package with libkrun has."""
    return [layer(zstd.decompress(_packed_alpine()))]  # umoci has no zstd


def _packed_alpine() -> bytes:
    spec = find_spec("smol")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "agent-rootfs.tar.zst").read_bytes()


def _debian() -> list[Layer]:
    """What Debian's packages have, devices, capabilities and setuid programs among it."""
    packages = "base-files,base-passwd,libcap2-bin,iputils-ping,passwd,busybox-static"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract", f"--include={packages}", "bookworm", "-"],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return [layer(made.stdout), layer(file("usr/bin/.wh.ping") + file("lib/through") + END)]


def _many() -> list[Layer]:
    names = [f"{i % 7}/{i % 31}/{i}" for i in range(6_000)]
    first = b"".join(file(name, name.encode() * (i % 700)) for i, name in enumerate(names))
    second = b"".join(file(name, b"new") for name in names[::5])
    return [layer(first + END), layer(second + END), layer(file("3/.wh.3") + END)]


def _large() -> list[Layer]:
    """Some large files, with holes: as tar(1) stores them, and as zeros."""
    with tempfile.TemporaryDirectory() as place:
        for name, offset in (("a", 20 << 20), ("b", 0), ("c", (16 << 20) - 3)):
            with open(Path(place, name), "wb") as out:
                out.seek(offset)
                out.write(os.urandom(3_000_001))
                out.truncate(32 << 20)
        sparse, plain = (
            subprocess.run(["tar", "-cC", place, *options, "."], stdout=subprocess.PIPE, check=True)
            for options in (["--sparse", "--format=posix"], ["--transform=s,c,d,"])
        )
    return [layer(sparse.stdout), layer(plain.stdout)]


class Seen(NamedTuple):
    """What the kernel tells of a name. How long a directory is says nothing, and umoci changes the
    times of directories that a layer leaves out."""

    mode: int
    owner: tuple[int, int]
    size: int
    device: int
    names: int
    modified: int
    xattrs: dict[str, bytes]
    contents: str


def seen(top: Path) -> dict[str, Seen]:
    """Return what is below TOP."""
    found = {}
    for path in (
        top,
        *(
            Path(above, name)
            for above, directories, files in os.walk(top)
            for name in directories + files
        ),
    ):
        told = path.lstat()
        contents = ""
        if stat.S_ISREG(told.st_mode):
            with open(path, "rb") as data:
                contents = hashlib.sha256(data.read()).hexdigest()
        elif stat.S_ISLNK(told.st_mode):
            contents = os.readlink(path)
        names = os.listxattr(path, follow_symlinks=False)
        is_directory = stat.S_ISDIR(told.st_mode)
        found[str(path.relative_to(top))] = Seen(
            told.st_mode,
            (told.st_uid, told.st_gid),
            0 if is_directory else told.st_size,
            told.st_rdev,
            0 if is_directory else told.st_nlink,
            0 if is_directory else told.st_mtime_ns,
            {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)},
            contents,
        )
    return found


def same_inodes(top: Path) -> set[frozenset[str]]:
    """Return the names below TOP that are those of one file."""
    groups: dict[int, set[str]] = {}
    for above, _, files in os.walk(top):
        for name in files:
            path = Path(above, name)
            groups.setdefault(path.lstat().st_ino, set()).add(str(path.relative_to(top)))
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount IMAGE in PLACE."""
    place.mkdir()
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


IMAGES: list[Callable[[], list[Layer]]] = [_odd, _alpine, _debian, _many, _large, list]


@as_root
@pytest.mark.parametrize("make", IMAGES, ids=["odd", "alpine", "debian", "many", "large", "empty"])
def test_a_root_is_what_umoci_unpacks(make: Callable[[], list[Layer]], tmp_path: Path) -> None:
    layers = make()
    image = tmp_path / "root.erofs"
    with open(image, "w+b") as out, tempfile.TemporaryFile() as scratch:
        root = write_root(layers, out, scratch)
    assert root.size == image.stat().st_size
    assert root.digest == f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    checked = subprocess.run(
        ["fsck.erofs", "-d3", image], capture_output=True, text=True, check=True
    )
    assert "No errors found" in checked.stderr + checked.stdout
    name = layout(tmp_path / "layout", layers)
    subprocess.run(["umoci", "unpack", "--image", name, tmp_path / "bundle"], check=True)
    bundle = tmp_path / "bundle" / "rootfs"
    with mounted(image, tmp_path / "root") as place:
        found, expected = seen(place), seen(bundle)
        assert {
            path: (told, expected.get(path))
            for path, told in found.items()
            if told != expected.get(path)
        } == {}
        assert found.keys() == expected.keys()
        assert same_inodes(place) == same_inodes(bundle)


def written_by(
    layers: list[Layer], place: Path, user: Sequence[str] = (), **environment: str
) -> list[str]:
    """Return the digest, the size and the memory of the root that a process of USER writes."""
    if not place.exists():
        layout(place, layers)
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [*user, sys.executable, TOOLS / "write_a_root.py", place, "/tmp"],
        env={"PYTHONPATH": paths, "PATH": os.environ["PATH"], **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_root_is_the_same_whoever_writes_it() -> None:
    """Another user, another order of hashes, another zone, mask and directory."""
    layers = _odd()
    users: list[Sequence[str]] = [()]
    if os.geteuid() == 0:
        users.append(("setpriv", "--reuid=65534", "--clear-groups", "--"))
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        digests = {
            written_by(
                layers, Path(place, "layout"), user, PYTHONHASHSEED=str(seed), TZ="Asia/Tokyo"
            )[0]
            for seed, user in enumerate(users)
        }
    assert digests == {written(layers)[0].digest}


# The writer's bytes are for ever: where this changes, WRITER has to.
WRITTEN = "sha256:efe925f8f7934830002d0714dd1d48f937abd18784900b93bf81d82dafebed38"


def test_the_bytes_of_this_writer() -> None:
    assert written(_odd())[0].digest == WRITTEN


def test_no_path_of_a_layer_reaches_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is opened while a root is written is opened by the caller."""
    layers = [*_odd(), layer(link("out", str(tmp_path)) + file("out/x") + END)]
    out, scratch = io.BytesIO(), io.BytesIO()
    opened: list[str] = []

    def hook(event: str, args: tuple[object, ...]) -> None:
        if recording and event.split(".")[0] in ("open", "os", "shutil", "subprocess", "socket"):
            opened.append(f"{event} {args}")

    recording = False
    sys.addaudithook(hook)
    write_root(layers, out, scratch)  # imports what it needs
    recording = True
    write_root(layers, out := io.BytesIO(), io.BytesIO())
    recording = False
    assert opened == []
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_contents(tmp_path: Path) -> None:
    """Large files and many; of a gigabyte and of 65,000 entries docs/speed.md tells."""
    small = b"".join(file(f"{i % 50}/{i}", b"x" * 900) for i in range(20_000))
    large = file("a", bytes(range(256)) * (1 << 20))
    *_, memory = written_by([layer(large + small + END)], tmp_path / "layout")
    assert int(memory) < 64 << 10  # KiB


def test_what_tarfile_reads_of_alpine_is_there() -> None:
    """Without root and without mounts: the tree has what Python's reader finds."""
    packed = _packed_alpine()
    unpacked = zstd.decompress(packed)
    found = read(written([layer(unpacked, packed, "zstd")])[1])
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        for member in tar:
            node = found["/" + member.name.removeprefix(".").strip("/")]
            assert stat.S_IMODE(node.mode) == member.mode or member.issym()
            assert (node.uid, node.gid, node.mtime) == (member.uid, member.gid, int(member.mtime))
            if member.isreg() and (data := tar.extractfile(member)):
                assert node.data == data.read()
