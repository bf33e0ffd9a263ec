"""Tars and layers made by the tests, right ones and wrong ones, and the roots that they make."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import erofs_reader
from krunc_compiler.image.layers import Layer
from krunc_compiler.image.limits import LIMITS, Limits
from krunc_compiler.image.refusal import LayerError
from krunc_compiler.image.root import Root, write_root

TAR = "application/vnd.oci.image.layer.v1.tar"
END = bytes(1024)
# The letters of tar's types.
FILE, HARD, LINK, CHAR, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


def head(name: bytes | str, kind: bytes = FILE, size: int = 0, **fields: Any) -> bytes:
    """Return one header of ustar. FIELDS are texts for numbers that are to be wrong."""
    name = name.encode() if isinstance(name, str) else name
    given = {
        "mode": b"0000755" if kind == DIRECTORY else b"0000644", "uid": b"0000000", "gid": b"0000000",
        "size": b"%011o" % size, "mtime": b"00000000000", "link": b"", "magic": b"ustar\x0000",
        "major": b"0000000", "minor": b"0000000", "prefix": b"", **fields,
    }  # fmt: skip
    at = {
        "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
        "link": (157, 100), "magic": (257, 8), "major": (329, 8), "minor": (337, 8),
        "prefix": (345, 155),
    }  # fmt: skip
    block = bytearray(512)
    block[: len(name[:100])] = name[:100]
    for key, value in given.items():
        place, length = at[key]
        written = value.encode() if isinstance(value, str) else value
        block[place : place + length] = written[:length].ljust(length, b"\0")
    block[156:157] = kind
    return summed(bytes(block))


def summed(block: bytes) -> bytes:
    """Return a header with its checksum."""
    total = sum(block[:148]) + 256 + sum(block[156:512])
    return block[:148] + b"%06o\0 " % total + block[156:]


def file(name: bytes | str, data: bytes = b"", **fields: Any) -> bytes:
    """Return a file as it stands in a tar."""
    return head(name, FILE, len(data), **fields) + padded(data)


def directory(name: bytes | str, **fields: Any) -> bytes:
    """Return a directory as it stands in a tar."""
    return head(name, DIRECTORY, **fields)


def link(name: bytes | str, target: bytes | str, kind: bytes = LINK, **fields: Any) -> bytes:
    """Return a link as it stands in a tar."""
    return head(name, kind, link=target, **fields)


def padded(data: bytes) -> bytes:
    """Return DATA up to a whole block."""
    return data + bytes(-len(data) % 512)


def pax(
    records: Mapping[str, bytes | str] | Mapping[str, str] | bytes, kind: bytes = b"x"
) -> bytes:
    """Return an extended header of RECORDS."""
    if not isinstance(records, bytes):
        records = b"".join(record(key, value) for key, value in records.items())
    return head("PaxHeaders/x", kind, len(records)) + padded(records)


def record(key: str, value: bytes | str) -> bytes:
    """Return one PAX record."""
    value = value.encode() if isinstance(value, str) else value
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def gnu_long(text: bytes, kind: bytes = b"L") -> bytes:
    """Return a long name of GNU tar, or (K) a long target."""
    return head("././@LongLink", kind, len(text) + 1, magic=b"ustar  \0") + padded(text + b"\0")


def by_tarfile(*members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    """Return the tar that Python writes of MEMBERS."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return out.getvalue()


def digest(data: bytes) -> str:
    """Return the digest of DATA as OCI spells it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(tar: bytes, blob: bytes | None = None, packing: str = "", **said: Any) -> Layer:
    """Return the layer of TAR, whose BLOB is packed by gzip if it is not given. What the manifest
    SAID can be another thing."""
    if blob is None:
        blob, packing = gzip.compress(tar, 1, mtime=0), "gzip"
    kind = f"{TAR}+{packing}" if packing else TAR
    made = Layer(opener(blob), kind, digest(blob), len(blob), digest(tar))
    return replace(made, **said)


def opener(blob: bytes) -> Callable[[], BinaryIO]:
    """Return what opens BLOB."""
    return lambda: io.BytesIO(blob)


def written(layers: Sequence[Layer], limits: Limits = LIMITS) -> tuple[Root, bytes]:
    """Return the root that LAYERS make, and its bytes."""
    out = io.BytesIO()
    with tempfile.TemporaryFile() as scratch:
        root = write_root(layers, out, scratch, limits)
    return root, out.getvalue()


def tree(*tars: bytes, limits: Limits = LIMITS) -> dict[str, erofs_reader.Found]:
    """Return what the root of TARS has, each with an end put to it."""
    return erofs_reader.read(written([layer(tar + END) for tar in tars], limits)[1])


def refused(*tars: bytes, limits: Limits = LIMITS) -> LayerError:
    """Return why the last of TARS is refused."""
    try:
        written([layer(tar + END) for tar in tars], limits)
    except LayerError as error:
        assert error.number == len(tars)
        assert error.digest == layer(tars[-1] + END).digest
        return error
    raise AssertionError("nothing is refused")
