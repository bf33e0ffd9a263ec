"""A reader of erofs for the tests, after Linux' erofs_fs.h: what the writer makes, read by a hand
that shares nothing with it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from stat import S_ISBLK, S_ISCHR, S_ISDIR

PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}


@dataclass
class Found:
    """A name of the file system, and its inode."""

    number: int
    mode: int
    uid: int
    gid: int
    mtime: int
    nanoseconds: int
    links: int
    size: int
    device: int
    data: bytes
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


def read(image: bytes) -> dict[str, Found]:
    """Return each path of IMAGE with what is there; the root is "/"."""
    magic, _, _, bits, _, root = struct.unpack_from("<IIIBBH", image, 1024)
    blocks, first = struct.unpack_from("<II", image, 1024 + 36)
    assert magic == 0xE0F5E1E2
    assert bits == 12
    assert blocks * 4096 == len(image)
    found: dict[str, Found] = {}
    todo = [("/", root, root)]
    while todo:
        path, number, above = todo.pop()
        node = _inode(image, first * 4096, number)
        found[path] = node
        if not S_ISDIR(node.mode):
            continue
        names = _names(node.data)
        assert list(names) == sorted(names)
        assert names.pop(b".") == (number, 2)
        assert names.pop(b"..")[0] == above
        for name, (to, kind) in names.items():
            below = path.rstrip("/") + "/" + name.decode("utf-8", "surrogateescape")
            todo.append((below, to, number))
            mode = _inode(image, first * 4096, to).mode
            assert kind == {0o10: 1, 4: 2, 2: 3, 6: 4, 1: 5, 0o12: 7}[mode >> 12]
    return dict(sorted(found.items()))


def _inode(image: bytes, base: int, number: int) -> Found:
    at = base + 32 * number
    form, count, mode, _, size, start, _, uid, gid, mtime, nanoseconds, links = struct.unpack_from(
        "<HHHHQIIIIqII", image, at
    )
    behind = at + 64 + (12 + 4 * (count - 1) if count else 0)
    device = start if S_ISCHR(mode) or S_ISBLK(mode) else 0
    rest = size % 4096 if form == 5 else 0
    assert form in (1, 5)
    assert not rest or behind // 4096 == (behind + rest - 1) // 4096
    whole = size - rest
    data = image[start * 4096 : start * 4096 + whole] + image[behind : behind + rest]
    assert device or len(data) == size
    return Found(
        number, mode, uid, gid, mtime, nanoseconds, links, size, device, data,
        _xattrs(image[at + 64 : behind]),
    )  # fmt: skip


def _xattrs(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 12
    while at < len(data):
        length, index, size = struct.unpack_from("<BBH", data, at)
        name = PREFIXES[index] + data[at + 4 : at + 4 + length]
        found[name] = data[at + 4 + length : at + 4 + length + size]
        at += (4 + length + size + 3) // 4 * 4
    return found


def _names(data: bytes) -> dict[bytes, tuple[int, int]]:
    found = {}
    for start in range(0, len(data), 4096):
        block = data[start : start + 4096]
        count = struct.unpack_from("<H", block, 8)[0] // 12
        rows = [struct.unpack_from("<QHBB", block, 12 * row) for row in range(count)]
        for (number, at, kind, _), end in zip(
            rows, [row[1] for row in rows[1:]] + [len(block)], strict=True
        ):
            found[block[at:end].rstrip(b"\0")] = (number, kind)
    return found
