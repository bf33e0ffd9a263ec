"""Layouts and archives of this host, as far as skopeo is not to be asked.

skopeo shows only the outermost index of a layout. And it unpacks an archive with the links that
are in it: one was seen to write out of its directory, with skopeo 1.9.3 run by root. So an archive
becomes a layout here, of the files that a layout has and nothing else.

The layout is that of the OCI image layout specification 1.1: index.json, and each blob under its
digest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from stat import S_IFREG, S_ISREG

from krunc_compiler.files.contents import contents
from krunc_compiler.findings.wording import why
from krunc_compiler.image.layers import UNPACKERS
from krunc_compiler.image.limits import LIMITS
from krunc_compiler.image.manifest import MAX_MANIFEST, digest_of, outermost, refused
from krunc_compiler.image.refusal import Refusal
from krunc_compiler.image.stream import Stream
from krunc_compiler.image.tar import entries
from krunc_compiler.image.unusable import Unusable

_FILES = re.compile(rb"(?:\./)*(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PIECE = 1 << 18
# What skopeo reads before anything tells it how much that is.
_WHOLE = ("index.json", "oci-layout")
_FILES_ONLY = "a layout has regular files only: make it anew"


def sound(layout: str) -> None:
    """Raise Unusable when the directory LAYOUT has what no layout has: links, which skopeo would
    follow, or more bytes where it reads all that there are. What is missing skopeo tells."""
    blobs = os.path.join(layout, "blobs", "sha256")
    try:
        names = [f"blobs/sha256/{name}" for name in os.listdir(blobs)]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise refused(f"blobs/sha256 of the layout cannot be read: {why(error)}") from None
    sizes = {name: _size(layout, name) for name in (*_WHOLE, *names)}
    _small(sizes, _WHOLE)
    if sizes["index.json"] is not None:
        digests = outermost(contents(os.path.join(layout, "index.json"), MAX_MANIFEST + 1))
        _small(sizes, [f"blobs/sha256/{digest.removeprefix('sha256:')}" for digest in digests])


def _size(layout: str, name: str) -> int | None:
    """Return the size of the regular file NAME in LAYOUT; None when there is no such file."""
    try:
        status = os.lstat(os.path.join(layout, name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(status.st_mode):
        raise refused(f"{name} of the layout is not a regular file", _FILES_ONLY)
    return status.st_size


def _small(sizes: dict[str, int | None], names: Iterable[str]) -> None:
    for name in names:
        if (size := sizes.get(name)) is not None and size > MAX_MANIFEST:
            raise refused(f"{name} of the layout has {size:,} bytes; allowed: {MAX_MANIFEST:,}")


def inner_manifest(layout: str, digest: str) -> bytes:
    """Return the manifest with DIGEST in the directory LAYOUT. Raises Unusable."""
    name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
    try:
        raw = contents(os.path.join(layout, name), MAX_MANIFEST + 1)
    except OSError as error:
        raise refused(f"its manifest {digest} cannot be read: {why(error)}") from None
    if digest_of(raw) != digest:
        raise refused(f"the blob {name} has {digest_of(raw)}")
    return raw


def unpack(archive: str, layout: str, most: int) -> None:
    """Make the directory LAYOUT of what the file ARCHIVE has of one.

    Raises Unusable, also when it unpacks to more than MOST bytes, and OSError when LAYOUT cannot be
    written.
    """
    os.makedirs(os.path.join(layout, "blobs", "sha256"))
    pieces = _read(archive)
    first = next(pieces, b"")
    kind = next((name for magic, name in _MAGIC.items() if first.startswith(magic)), "")
    stream = Stream(_bounded(UNPACKERS[kind](_after(first, pieces)), most))
    try:
        for entry in entries(stream, LIMITS):
            name = _FILES.fullmatch(entry.name)
            if name is None or entry.kind != S_IFREG or entry.pieces is not None:
                stream.skip(entry.stored)
                continue
            with open(os.path.join(layout, name[1].decode()), "wb") as out:
                out.writelines(stream.portions(entry.stored))
    except Refusal as refusal:
        raise refused(f"the archive is none: {refusal}") from None


def _read(path: str) -> Iterator[bytes]:
    """Yield the bytes of the regular file PATH. Raises Unusable."""
    try:
        contents(path, 0)  # only a regular file is opened
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        hint = "look at the reference"
        raise Unusable("KR710", f"the archive cannot be read: {why(error)}", hint) from None


def _after(first: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _bounded(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > most:
            raise refused(f"the archive unpacks to more than {most:,} bytes")
        yield piece
