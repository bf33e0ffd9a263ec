"""Contents on their way from a tar to the output.

Whole blocks go to the output as they come, the rest of a file to the scratch file, from where it
comes back behind its inode. Blocks of files that a later entry replaced are closed up in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from krunc_compiler.image import layout
from krunc_compiler.image.layout import BLOCK
from krunc_compiler.image.limits import Limits
from krunc_compiler.image.pax import Pieces
from krunc_compiler.image.refusal import Refusal
from krunc_compiler.image.stream import Stream
from krunc_compiler.image.tree import Node

_PIECE = 1 << 18
_ZEROS = bytes(_PIECE)


class Contents:
    """The contents of a root: in OUT, from its second block on, and in SCRATCH."""

    def __init__(self, out: BinaryIO, scratch: BinaryIO, limits: Limits) -> None:
        self._out, self._scratch = out, scratch
        self._limits = limits
        self._bytes = 0
        self._end, self._scratch_end = BLOCK, 0
        out.seek(BLOCK)

    def add(self, node: Node, stream: Stream, stored: int, pieces: Pieces | None) -> None:
        """Take the contents of the file NODE from STREAM, which has STORED bytes, or PIECES."""
        self._bytes += node.size
        if self._bytes > self._limits.root_bytes:
            most = self._limits.root_bytes
            raise Refusal(f"contents of {self._bytes} bytes", f"at most {most} in all layers")
        data = stream.portions(stored) if pieces is None else _filled(stream, pieces, node.size)
        rest = layout.rest(node)
        self._put(node, data, node.size - rest, rest)

    def put(self, node: Node, data: Iterable[bytes]) -> None:
        """Take DATA as the contents of NODE, a directory or a link."""
        rest = layout.rest(node)
        self._out.seek(self._end)
        self._scratch.seek(self._scratch_end)
        self._put(node, data, node.size - rest, rest)

    def close_up(self, files: Iterable[Node]) -> None:
        """Close the gaps between the blocks of FILES, which are all that are left."""
        end = BLOCK
        for file in sorted(files, key=lambda file: file.start):
            start, length = file.start * BLOCK, layout.blocks(file) * BLOCK
            if start != end:
                self._move(start, end, length)
            file.start = end // BLOCK
            end += length
        self._end = end

    def end(self) -> int:
        """Return the block after the last one that is used."""
        return self._end // BLOCK

    def rest(self, node: Node) -> bytes:
        """Return what stands behind NODE."""
        length = layout.rest(node)
        if not length:
            return b""
        self._scratch.seek(node.rest)
        return self._scratch.read(length)

    def _put(self, node: Node, data: Iterable[bytes], whole: int, rest: int) -> None:
        node.start, node.rest = self._end // BLOCK, self._scratch_end
        self._end += -(-whole // BLOCK) * BLOCK
        self._scratch_end += rest
        for piece in data:
            if len(piece) > whole:
                self._out.write(piece[:whole])
                self._scratch.write(piece[whole:])
                whole = 0
            elif len(piece) == _PIECE and piece == _ZEROS:
                self._out.seek(_PIECE, 1)  # a hole of the output
                whole -= _PIECE
            else:
                self._out.write(piece)
                whole -= len(piece)
        if whole_to_fill := self._end - self._out.tell():
            self._out.write(bytes(whole_to_fill))

    def _move(self, start: int, to: int, length: int) -> None:
        for at in range(0, length, _PIECE):
            size = min(_PIECE, length - at)
            self._out.seek(start + at)
            data = self._out.read(size)
            self._out.seek(to + at)
            # What ends in a hole may end before its last block does.
            self._out.write(data.ljust(size, b"\0"))


def _filled(stream: Stream, pieces: Pieces, size: int) -> Iterator[bytes]:
    """Yield the contents of a sparse file of SIZE bytes: PIECES from STREAM, and zeros between."""
    at = 0
    for offset, length in [*pieces, (size, 0)]:
        yield from _zeros(offset - at)
        yield from stream.portions(length)
        at = offset + length


def _zeros(length: int) -> Iterator[bytes]:
    for _ in range(length // _PIECE):
        yield _ZEROS
    yield _ZEROS[: length % _PIECE]
