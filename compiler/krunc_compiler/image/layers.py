"""Layers as streams of tar bytes: unpacked, with digest, size and diff_id checked on the way."""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from krunc_compiler.image.limits import Limits
from krunc_compiler.image.refusal import Refusal, shown

# What is fed to a decompressor at once. The same however the blob is read, so that a bound is met
# at the same place; small, since what follows a finished member is copied.
_PACKED = 1 << 16
_UNPACKED = 1 << 18


@dataclass(frozen=True)
class Layer:
    """A layer's blob, and what the manifest and the config say of it."""

    open: Callable[[], BinaryIO]
    media_type: str
    digest: str
    size: int
    diff_id: str


class Blob:
    """The bytes of a layer's blob, which are checked when they have all been read."""

    def __init__(self, layer: Layer, file: BinaryIO) -> None:
        self.read = 0
        self._layer, self._file = layer, file
        self._hash = hashlib.sha256()

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the blob. Raises Refusal when it is not the one of the manifest."""
        while piece := self._piece():
            yield piece
        if self.read != self._layer.size:
            raise Refusal(
                f"the blob has {self.read} bytes", f"{self._layer.size}, as the manifest says"
            )
        _compare("digest of the blob", self._hash.hexdigest(), self._layer.digest)

    def _piece(self) -> bytes:
        """Return the next piece, full until the last, however the file is read."""
        parts, wanted = [], _PACKED
        while wanted and (part := self._file.read(wanted)):
            parts.append(part)
            wanted -= len(part)
        piece = b"".join(parts)
        self.read += len(piece)
        self._hash.update(piece)
        if self.read > self._layer.size:
            raise Refusal("the blob is longer", f"{self._layer.size} bytes, as the manifest says")
        return piece


def tar_bytes(layer: Layer, blob: Blob, limits: Limits) -> Iterator[bytes]:
    """Yield the tar bytes of LAYER in pieces. Raises Refusal when they are not those of its
    diff_id, and when they are too many."""
    unpack = UNPACKERS.get(layer.media_type.rpartition("tar")[2].lstrip("+."))
    if unpack is None or "tar" not in layer.media_type:
        kind = shown(layer.media_type.encode("utf-8", "replace"))
        raise Refusal(f"media type {kind}", "a tar, uncompressed or packed by gzip or zstd")
    hashed, length = hashlib.sha256(), 0
    for piece in unpack(blob.pieces()):
        hashed.update(piece)
        length += len(piece)
        if length > limits.unpacked_free + limits.unpacked_ratio * blob.read:
            raise Refusal(
                f"{blob.read} bytes of the blob unpack to more than {length - len(piece)}",
                f"at most {limits.unpacked_ratio} for each, and {limits.unpacked_free} more",
            )
        yield piece
    _compare("diff_id", hashed.hexdigest(), layer.diff_id)


def _compare(what: str, found: str, expected: str) -> None:
    if f"sha256:{found}" != expected:
        raise Refusal(f"{what} is sha256:{found}", expected)


def _plain(packed: Iterable[bytes]) -> Iterator[bytes]:
    yield from packed


def _gunzip(packed: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip of one member or many, which parallel writers make."""
    member = None
    empty = True
    for piece in packed:
        empty = False
        left = piece
        while left:
            if member is None:
                member = zlib.decompressobj(31)
            try:
                data = member.decompress(left, _UNPACKED)
                while len(data) == _UNPACKED:  # there can be more without more input
                    yield data
                    data = member.decompress(member.unconsumed_tail, _UNPACKED)
            except zlib.error as error:
                raise Refusal(
                    f"damaged gzip data ({_said(error)})", "gzip, up to the end"
                ) from None
            if data:
                yield data
            left = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
    if member is not None or empty:
        raise Refusal("the gzip data is cut off", "all of it")


def _unzstd(packed: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack zstd of one frame or many; those that can be skipped are."""
    # Few layers are packed like this. Before Python 3.14 it is the standard library's own backport.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    frame = None
    empty = True
    for piece in packed:
        empty = False
        left = piece
        while left:
            if frame is None:
                frame = zstd.ZstdDecompressor()
            try:
                data = frame.decompress(left, _UNPACKED)
                while not frame.eof and not frame.needs_input:
                    yield data
                    data = frame.decompress(b"", _UNPACKED)
            except zstd.ZstdError as error:
                raise Refusal(
                    f"damaged zstd data ({_said(error)})", "zstd, up to the end"
                ) from None
            if data:
                yield data
            left = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = None
    if frame is not None or empty:
        raise Refusal("the zstd data is cut off", "all of it")


def _said(error: Exception) -> str:
    return str(error).rpartition(": ")[2].lower()


# By how a media type ends.
UNPACKERS = {"": _plain, "gzip": _gunzip, "zstd": _unzstd}
