"""One erofs file of a tree: uncompressed, and the same bytes for the same tree.

The format is that of Linux' fs/erofs/erofs_fs.h. Block 0 has the superblock; then come the blocks
of the files, those of the directories, and last the inodes, each with its extended attributes and
the rest of its contents behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from stat import S_ISLNK, S_ISREG
from typing import BinaryIO

from krunc_compiler.image import layout
from krunc_compiler.image.contents import Contents
from krunc_compiler.image.layout import BLOCK, INODE, Slots
from krunc_compiler.image.tree import Node, Tree

_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24s")
_INODE = struct.Struct("<HHHHQIIIIQII16x")
_DIRENT = struct.Struct("<QHBB")
_MAGIC, _SUPERBLOCK_AT = 0xE0F5E1E2, 1024
_FEATURES = 1 | 2  # the superblock has a checksum; the times are mtimes
_EXTENDED, _INLINE = 1, 2 << 1
_CRC32C = 0x82F63B78
# What a directory says of a name's kind, by the four upper bits of its mode.
_TYPES = {0o10: 1, 0o04: 2, 0o02: 3, 0o06: 4, 0o01: 5, 0o12: 7}
_PREFIXES = (
    (b"user.", 1), (b"trusted.", 4), (b"security.", 6),
    (b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3),
)  # fmt: skip


def xattrs(attributes: dict[bytes, bytes]) -> bytes:
    """Return ATTRIBUTES as they stand behind an inode, but for those that no file system of Linux
    takes."""
    entries = b""
    for name, value in sorted(attributes.items()):
        for prefix, index in _PREFIXES:
            rest = name[len(prefix) :]
            if name.startswith(prefix) and bool(rest) == prefix.endswith(b"."):
                entry = struct.pack("<BBH", len(rest), index, len(value)) + rest + value
                entries += entry + bytes(-len(entry) % 4)
    return bytes(12) + entries if entries else b""


def write(tree: Tree, contents: Contents, out: BinaryIO) -> int:
    """Write what OUT lacks of the file system of TREE, whose files are in CONTENTS; return the
    first block of the inodes. OUT ends where the file system does."""
    nodes = list(_nodes(tree))
    contents.close_up(node for node, _ in nodes if S_ISREG(node.mode))
    slots = Slots()
    for node, _ in nodes:
        if node.children is not None:
            node.size = _size(node.children)
        node.number = slots.take(INODE + len(node.xattrs) + layout.rest(node))
    for node, parent in nodes:
        if node.children is not None:
            contents.put(node, _directory(node, node.children, parent))
        elif S_ISLNK(node.mode):
            contents.put(node, [node.link])
    first = contents.end()
    out.seek(first * BLOCK)
    at = 0
    for count, node in enumerate(sorted((node for node, _ in nodes), key=_number), 1):
        place = node.number * Slots.SIZE
        data = _inode(node, count) + node.xattrs + contents.rest(node)
        out.write(bytes(place - at) + data)
        at = place + len(data)
    out.write(bytes(-at % BLOCK))
    blocks = first + -(-at // BLOCK)
    out.truncate(blocks * BLOCK)
    out.seek(0)
    out.write(_superblock(tree.root.number, len(nodes), first, blocks))
    return first


def read(node: Node, out: BinaryIO, first: int, most: int | None = None) -> bytes:
    """Read the contents of the file NODE in OUT, whose inodes begin at the block FIRST: all, or no
    more than MOST bytes."""
    rest = layout.rest(node)
    wanted = node.size if most is None else min(most, node.size)
    out.seek(node.start * BLOCK)
    data = out.read(min(node.size - rest, wanted))
    out.seek(first * BLOCK + node.number * Slots.SIZE + INODE + len(node.xattrs))
    return data + out.read(min(rest, wanted - len(data)))


def _number(node: Node) -> int:
    return node.number


def _nodes(tree: Tree) -> Iterator[tuple[Node, Node]]:
    """Yield each inode of TREE once, with the directory above it, and count its names."""
    tree.root.links = 2
    yield tree.root, tree.root
    todo = [tree.root]
    while todo:
        directory = todo.pop()
        assert directory.children is not None
        for _, node in sorted(directory.children.items()):
            node.links += 1
            if node.children is not None:
                node.links += 1
                directory.links += 1
                todo.append(node)
            if node.links == 1 or node.children is not None:
                yield node, directory


def _names(children: dict[bytes, Node]) -> Iterator[list[bytes]]:
    """Yield the names of a directory, as many as a block holds at once."""
    block: list[bytes] = []
    used = 0
    for name in sorted([b".", b"..", *children]):
        used += _DIRENT.size + len(name)
        if used > BLOCK:
            yield block
            block, used = [], _DIRENT.size + len(name)
        block.append(name)
    yield block


def _size(children: dict[bytes, Node]) -> int:
    *whole, last = _names(children)
    return len(whole) * BLOCK + _DIRENT.size * len(last) + sum(map(len, last))


def _directory(node: Node, children: dict[bytes, Node], parent: Node) -> Iterator[bytes]:
    """Yield the contents of the directory NODE, block by block."""
    named = {b".": node, b"..": parent}
    left = node.size
    for names in _names(children):
        at = _DIRENT.size * len(names)
        block = bytearray()
        for name in names:
            to = named.get(name) or children[name]
            block += _DIRENT.pack(to.number, at, _TYPES[to.mode >> 12], 0)
            at += len(name)
        yield (bytes(block) + b"".join(names)).ljust(min(BLOCK, left), b"\0")
        left -= BLOCK


def _inode(node: Node, count: int) -> bytes:
    rest, blocks = layout.rest(node), layout.blocks(node)
    return _INODE.pack(
        _EXTENDED | (_INLINE if rest else 0),
        (len(node.xattrs) - 12) // 4 + 1 if node.xattrs else 0,
        node.mode,
        0,
        node.size,
        node.start if blocks else _device(*node.device),
        count,
        node.uid,
        node.gid,
        node.mtime % (1 << 64),
        node.nanoseconds,
        node.links,
    )


def _device(major: int, minor: int) -> int:
    """Return a device's number as Linux encodes it in 32 bits."""
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12


def _superblock(root: int, inodes: int, first: int, blocks: int) -> bytes:
    """Return block 0. Its UUID is zero, and so is its time."""

    def packed(checksum: int) -> bytes:
        head = (_MAGIC, checksum, _FEATURES, 12, 0, root, inodes, 0, 0, blocks, first, 0)
        return _SUPERBLOCK.pack(*head, b"", b"", 0, 0, 0, 0, 0, 0, 0, 0, b"").ljust(
            BLOCK - _SUPERBLOCK_AT, b"\0"
        )

    return bytes(_SUPERBLOCK_AT) + packed(_crc32c(packed(0)))


def _crc32c(data: bytes) -> int:
    """Return the CRC-32C of DATA as the kernel has it, without the inversion at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC32C if crc & 1 else 0)
    return crc
