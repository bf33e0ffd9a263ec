"""Blobs of layers: each way of packing, cut, damaged, and other than the manifest says."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import pytest
from backports import zstd
from krunc_compiler.image.layers import Layer
from krunc_compiler.image.limits import Limits
from krunc_compiler.image.refusal import LayerError
from tars import END, TAR, digest, file, head, layer, link, opener, pax, written

TREE = (
    file("a", b"one" * 700)
    + pax({"mtime": "1.5", "SCHILY.xattr.user.a": "v"})
    + file("d/b", bytes(range(256)) * 40)
    + link("l", "d/b")
    + END
)


class Short(io.BytesIO):
    """A file that gives as little as a slow pipe."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._random = random.Random(7)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._random.randint(1, min(self._most, size or 1)))


def _short(blob: bytes, most: int) -> BinaryIO:
    return Short(blob, most)


def _members(data: bytes, size: int) -> bytes:
    return b"".join(
        gzip.compress(data[at : at + size], mtime=0) for at in range(0, len(data), size)
    )


def _frames(data: bytes, size: int) -> bytes:
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    pieces = range(0, len(data), size)
    return b"".join(bytes(zstd.compress(data[at : at + size])) + skipped for at in pieces)


def _streamed(data: bytes) -> bytes:
    """A frame that does not tell its length."""
    packer = zstd.ZstdCompressor()
    return bytes(packer.compress(data) + packer.flush())


PACKINGS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("plain", TAR, lambda data: data),
    ("docker's plain", "application/vnd.docker.image.rootfs.diff.tar", lambda data: data),
    ("gzip", TAR + "+gzip", gzip.compress),
    ("docker's gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress),
    ("docker's layer", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip.compress),
    ("gzip, stored", TAR + "+gzip", lambda data: gzip.compress(data, 0)),
    ("gzip, members", TAR + "+gzip", lambda data: _members(data, 1000)),
    ("gzip, many members", TAR + "+gzip", lambda data: _members(data, 20)),
    ("gzip, empty members", TAR + "+gzip", lambda data: gzip.compress(b"") * 9 + gzip.compress(data)),
    ("zstd", TAR + "+zstd", zstd.compress),
    ("zstd, frames", TAR + "+zstd", lambda data: _frames(data, 1000)),
    ("zstd, many frames", TAR + "+zstd", lambda data: _frames(data, 50)),
    ("zstd, streamed", TAR + "+zstd", _streamed),
]  # fmt: skip


def made(tar: bytes, packing: int, **said: Any) -> Layer:
    _, kind, pack = PACKINGS[packing]
    return layer(tar, pack(tar), **{"media_type": kind, **said})


@pytest.mark.parametrize("packing", range(len(PACKINGS)), ids=[row[0] for row in PACKINGS])
def test_the_root_is_the_same(packing: int) -> None:
    plain, _ = written([made(TREE, 0)])
    found = made(TREE, packing)
    assert written([found])[0].digest == plain.digest
    with found.open() as file:
        blob = file.read()
    for most in (1, 100, 70_000):
        slow = replace(found, open=partial(_short, blob, most))
        assert written([slow])[0].digest == plain.digest


def refusal(*layers: Layer, limits: Limits | None = None) -> str:
    try:
        written(layers, limits or Limits())
    except LayerError as error:
        return str(error)
    raise AssertionError("nothing is refused")


@pytest.mark.parametrize("packing", range(len(PACKINGS)), ids=[row[0] for row in PACKINGS])
def test_a_blob_that_is_cut_off(packing: int) -> None:
    whole = made(TREE, packing)
    with whole.open() as file:
        blob = file.read()
    step = 1 if len(blob) < 2_000 else len(blob) // 100
    for end in range(0, len(blob), step):
        # As a lost connection leaves it.
        said = refusal(replace(whole, open=opener(blob[:end])))
        assert f"the blob has {end} bytes; expected {len(blob)}" in said
        # As a manifest can have it that was made for it.
        part = replace(layer(TREE, blob[:end]), media_type=whole.media_type)
        assert "layer 1 (sha256:" in refusal(part)


def test_a_tar_that_is_cut_off() -> None:
    """Where its diff_id says that this is all of it, too: unless it ends with an entry."""
    ends = 0
    for end in range(0, len(TREE) - 511, 32):
        try:
            written([layer(TREE[:end])])
        except LayerError:
            continue
        ends += 1
        assert end % 512 == 0
    # Before each entry, after the last, and with one block of zeros.
    assert ends == 5


@pytest.mark.parametrize("packing", range(len(PACKINGS)), ids=[row[0] for row in PACKINGS])
def test_a_tampered_blob_is_told_as_that(packing: int) -> None:
    whole = made(TREE, packing)
    with whole.open() as file:
        blob = file.read()
    for at in range(0, len(blob), max(1, len(blob) // 60)):
        other = blob[:at] + bytes([blob[at] ^ 0x55]) + blob[at + 1 :]
        said = refusal(replace(whole, open=opener(other)))
        assert f"digest of the blob is {digest(other)}; expected {whole.digest}" in said


@pytest.mark.parametrize("packing", [2, 9], ids=["gzip", "zstd"])
def test_damage_far_within(packing: int) -> None:
    """Where a decompressor has more to give than was asked for at once; with the digest of the damage,
    so that it is read."""
    tar = file("a", b"0123456789abcdef" * 100_000) + END
    with made(tar, packing).open() as file_:
        blob = file_.read()
    for at in range(20, len(blob), max(1, len(blob) // 50)):
        other = blob[:at] + bytes([blob[at] ^ 0x55]) + blob[at + 1 :]
        assert "layer 1" in refusal(made(tar, packing, open=opener(other), digest=digest(other)))


WRONG: list[tuple[str, Layer, str]] = [
    ("a size too small", made(TREE, 2, size=50), "the blob is longer; expected 50 bytes"),
    ("a size too large", made(TREE, 2, size=5_000), "; expected 5000, as the manifest says"),
    ("a diff_id", made(TREE, 2, diff_id=digest(b"")), f"diff_id is {digest(TREE)}; expected {digest(b'')}"),
    ("a digest of another kind", made(TREE, 2, digest="sha512:00"), "; expected sha512:00"),
    ("no gzip", layer(TREE, TREE, "gzip"), "damaged gzip data"),
    ("no zstd", layer(TREE, TREE, "zstd"), "damaged zstd data"),
    ("gzip that is told as plain", layer(TREE, gzip.compress(TREE), ""), "expected"),
    ("nothing, told as gzip", layer(b"", b"", "gzip"), "the gzip data is cut off"),
    ("nothing, told as zstd", layer(b"", b"", "zstd"), "the zstd data is cut off"),
    ("garbage after gzip", layer(TREE, gzip.compress(TREE) + b"x"), "expected"),
    ("garbage after gzip, longer", layer(TREE, gzip.compress(TREE) + b"x" * 99, "gzip"), "damaged gzip data"),
    ("zeros after gzip", layer(TREE, gzip.compress(TREE) + bytes(512), "gzip"), "damaged gzip data"),
    ("garbage after zstd", layer(TREE, zstd.compress(TREE) + b"garbage", "zstd"), "damaged zstd data"),
    ("garbage after the tar", layer(TREE + b"x"), "data after the end of the tar"),
    ("a tar after the tar", layer(TREE + TREE), "data after the end of the tar"),
    ("one block of zeros, and on", layer(bytes(512) + file("a")), "data after the end of the tar"),
    ("another media type", made(TREE, 2, media_type="application/vnd.oci.image.layer.v1.tar+lzma"), "media type"),
    ("encrypted", made(TREE, 2, media_type=TAR + "+gzip+encrypted"), "media type"),
    ("no media type", made(TREE, 2, media_type=""), "media type"),
    ("no tar", made(TREE, 2, media_type="application/vnd.oci.empty.v1+json"), "media type"),
    ("a media type that a terminal obeys", made(TREE, 2, media_type="\x1b[31m"), 'media type "\\x1b[31m"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_what_is_wrong_is_told(wrong: Layer, said: str) -> None:
    told = refusal(made(file("x") + END, 2), wrong)
    assert told.startswith(f"layer 2 ({wrong.digest})")
    assert said in told


def test_zeros_after_the_end_are_a_tars_own() -> None:
    """tar(1) fills up to 10,240 bytes."""
    assert written([layer(TREE + bytes(9_000))])[0].digest == written([layer(TREE)])[0].digest


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_is_told_before_it_is_unpacked(packing: str) -> None:
    zeros = bytes(64 << 20)
    pack = gzip.compress if packing == "gzip" else zstd.compress
    start = pack(head("bomb", size=160 * len(zeros)))
    blob = start + pack(zeros) * (160 if packing == "zstd" else 8)
    limits = Limits(unpacked_free=1 << 20)
    said = refusal(layer(b"", blob, packing), limits=limits)
    assert "unpack to more than" in said
    assert 'entry "bomb"' in said
    assert "at most 200 for each" in said
