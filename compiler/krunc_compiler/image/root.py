"""Layers to a root: one erofs file, the same bytes wherever it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from stat import S_IFLNK, S_IFREG, S_ISREG
from typing import BinaryIO

from krunc_compiler.image import erofs
from krunc_compiler.image.contents import Contents
from krunc_compiler.image.layers import Blob, Layer, tar_bytes
from krunc_compiler.image.limits import LIMITS, Limits
from krunc_compiler.image.refusal import LayerError, Refusal, shown
from krunc_compiler.image.stream import Stream
from krunc_compiler.image.tar import HARD_LINK, Entry, entries
from krunc_compiler.image.tree import WHITEOUT, Node, Tree

_PIECE = 1 << 20
# overlayfs would take these for its own marks of the root, which is its lower layer.
_OVERLAY = b"trusted.overlay."


class Root:
    """A finished root in OUT. Its files can be read while OUT is open."""

    def __init__(self, tree: Tree, out: BinaryIO, first: int) -> None:
        self._tree, self._out, self._first = tree, out, first
        self.digest, self.size = _digest(out)

    def has(self, path: str) -> bool:
        """Tell whether something is at PATH, which is looked up within the root."""
        return self._node(path) is not None

    def is_directory(self, path: str) -> bool:
        """Tell whether a directory is at PATH, which is looked up within the root."""
        node = self._node(path)
        return node is not None and node.children is not None

    def read(self, path: str, most: int) -> bytes | None:
        """Return the contents of the file at PATH, which is looked up within the root, or nothing
        where no file is, or one of more than MOST bytes."""
        node = self._node(path)
        if node is None or not S_ISREG(node.mode) or node.size > most:
            return None
        return erofs.read(node, self._out, self._first)

    def start(self, path: str, most: int) -> bytes | None:
        """Return the first bytes of the file at PATH, at most MOST, which is looked up within the
        root, or nothing where no file is."""
        node = self._node(path)
        if node is None or not S_ISREG(node.mode):
            return None
        return erofs.read(node, self._out, self._first, most)

    def _node(self, path: str) -> Node | None:
        parts = path.encode("utf-8", "surrogateescape").split(b"/")
        try:
            return self._tree.find([part for part in parts if part not in (b"", b".")])
        except Refusal:  # links in a circle
            return None


def write_root(
    layers: Iterable[Layer], out: BinaryIO, scratch: BinaryIO, limits: Limits = LIMITS
) -> Root:
    """Write the root that LAYERS make, the lowest first, to OUT. OUT and SCRATCH are empty buffered
    files, open for reading and writing; SCRATCH is of no use afterwards. Raises LayerError, and
    OSError of a file."""
    tree = Tree(limits)
    writer = _Writer(tree, Contents(out, scratch, limits), limits)
    for number, layer in enumerate(layers, 1):
        tree.next_layer()
        try:
            writer.lay(layer)
        except Refusal as refusal:
            raise LayerError(number, layer.digest, refusal) from None
    first = erofs.write(tree, writer.contents, out)
    return Root(tree, out, first)


class _Writer:
    """Lays layers over TREE."""

    def __init__(self, tree: Tree, contents: Contents, limits: Limits) -> None:
        self.contents = contents
        self._tree, self._limits = tree, limits
        self._kept = 0
        self._xattrs: dict[bytes, bytes] = {}

    def lay(self, layer: Layer) -> None:
        """Lay LAYER over the tree. Raises Refusal."""
        with layer.open() as file:
            blob = Blob(layer, file)
            stream = Stream(tar_bytes(layer, blob, self._limits))
            try:
                for entry in entries(stream, self._limits):
                    try:
                        self._apply(entry, stream)
                    except Refusal as refusal:
                        refusal.entry = refusal.entry or entry.name
                        raise
            except Refusal:
                # Where the blob is not the manifest's, nothing else is worth telling.
                for _ in blob.pieces():
                    pass
                raise

    def _apply(self, entry: Entry, stream: Stream) -> None:
        parts = self._tree.split(entry.name)
        if any(part.startswith(WHITEOUT) for part in parts[:-1]):
            raise Refusal("a name below a whiteout", "a whiteout, or a name without .wh.")
        if parts and parts[-1].startswith(WHITEOUT):
            self._tree.count()
            self._tree.white_out(parts)
            stream.skip(entry.stored)
            return
        self._keep(len(parts[-1]) if parts else 0)
        if entry.kind == HARD_LINK:
            self._tree.count()
            self._tree.link(parts, entry.link)
            return
        node = self._tree.new(entry.kind | entry.mode)
        node.uid, node.gid, node.size = entry.uid, entry.gid, entry.size
        node.mtime, node.nanoseconds = entry.mtime
        node.device = entry.device
        if entry.xattrs:
            node.xattrs = self._attributes(entry.xattrs)
        if entry.kind == S_IFLNK:
            self._aim(node, entry.link)
        self._tree.place(parts, node)
        if entry.kind == S_IFREG:
            self.contents.add(node, stream, entry.stored, entry.pieces)

    def _aim(self, node: Node, target: bytes) -> None:
        if not 0 < len(target) <= self._limits.link:
            raise Refusal(f"a link's target of {len(target)} bytes", f"1 to {self._limits.link}")
        self._keep(len(target))
        node.mode = S_IFLNK | 0o777  # Linux has no other
        node.link, node.size = target, len(target)

    def _attributes(self, attributes: dict[bytes, bytes]) -> bytes:
        """Return ATTRIBUTES as they are written; the same ones are kept once."""
        limits = self._limits
        for name, value in attributes.items():
            if (
                not 0 < len(name) <= limits.xattr_name
                or len(value) > limits.xattr_value
                or 0 in name
            ):
                raise Refusal(
                    f"attribute {shown(name)}: {len(name)} bytes, its value {len(value)}",
                    f"at most {limits.xattr_name}, without NUL, and {limits.xattr_value}",
                )
        found = erofs.xattrs(
            {name: value for name, value in attributes.items() if not name.startswith(_OVERLAY)}
        )
        if len(attributes) > limits.xattrs or len(found) > limits.xattr_bytes:
            raise Refusal(
                f"{len(attributes)} extended attributes of {len(found)} bytes",
                f"at most {limits.xattrs} of {limits.xattr_bytes}",
            )
        if found not in self._xattrs:
            self._keep(len(found))
            self._xattrs[found] = found
        return self._xattrs[found]

    def _keep(self, length: int) -> None:
        """Count LENGTH bytes that stay in memory."""
        self._kept += length
        if self._kept > self._limits.tree_bytes:
            raise Refusal(
                f"names, links and attributes of {self._kept} bytes",
                f"at most {self._limits.tree_bytes} in all layers",
            )


def _digest(out: BinaryIO) -> tuple[str, int]:
    """Return the digest of OUT and its size."""
    out.seek(0)
    hashed, size = hashlib.sha256(), 0
    while piece := out.read(_PIECE):
        hashed.update(piece)
        size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size
