"""The extended headers of tar: PAX records, extended attributes, maps of sparse files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from krunc_compiler.image.fields import decimal, number
from krunc_compiler.image.limits import Limits
from krunc_compiler.image.refusal import Refusal, shown
from krunc_compiler.image.stream import BLOCK, Stream

Records = dict[bytes, bytes]
# Where the contents of a sparse file lie: offset and length of each piece.
Pieces = list[tuple[int, int]]

SCHILY, LIBARCHIVE = b"SCHILY.xattr.", b"LIBARCHIVE.xattr."
_OFFSET, _NUMBYTES, _MAP = b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.map"
_AS_TEXT = (b"path", b"linkpath", b"GNU.sparse.name")
_OTHERS = (
    b"size", b"uid", b"gid", b"mtime", b"GNU.sparse.major", b"GNU.sparse.minor",
    b"GNU.sparse.realsize", b"GNU.sparse.size", _MAP,
)  # fmt: skip
_TAKEN = frozenset((*_AS_TEXT, *_OTHERS))


def records(data: bytes) -> Records:
    """Read the records `LENGTH KEY=VALUE\\n` of an extended header: those that say something of
    an entry here. The last one of a key counts. The pairs of sparse format 0.0, whose keys repeat,
    become the list that 0.1 has."""
    found: Records = {}
    numbers: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space]
        end = at + int(length) if space > 0 and length.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not at < end <= len(data) or data[end - 1 : end] != b"\n" or not equals or not key:
            raise Refusal(f"a PAX record {shown(data[at : at + 40])}", "LENGTH KEY=VALUE")
        if key in _AS_TEXT and b"\0" in value:
            raise Refusal(f"NUL in the PAX record {shown(key)}", "a name without it")
        if key in (_OFFSET, _NUMBYTES):
            if (key == _NUMBYTES) != len(numbers) % 2:
                raise Refusal(f"a record {shown(key)} without its partner", "pairs")
            numbers.append(value)
        elif key in _TAKEN or key.startswith((SCHILY, LIBARCHIVE)):
            found[key] = value
        at = end
    if numbers:
        found[_MAP] = b",".join(numbers)
    return found


def xattrs(found: Records) -> dict[bytes, bytes]:
    """Return the extended attributes that are among the records FOUND."""
    attributes: dict[bytes, bytes] = {}
    for key, value in found.items():
        if key.startswith(LIBARCHIVE) and value:
            try:
                # bsdtar leaves the padding out.
                data = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error:
                raise Refusal(f"{shown(key)} is not base64", "base64") from None
            attributes.setdefault(unquote_to_bytes(key[len(LIBARCHIVE) :]), data)
    for key, value in found.items():
        if key.startswith(SCHILY) and value:
            attributes[key[len(SCHILY) :]] = value
    return attributes


def gnu_pieces(header: bytes, stream: Stream, limits: Limits) -> Pieces:
    """Read the map of an old GNU sparse file: four pieces in its HEADER, 21 in each block after."""
    numbers: list[int] = []
    part, more = header[386:482], header[482]
    while True:
        for at in range(0, len(part), 12):
            numbers.append(number(part[at : at + 12], "sparse map") if part[at] else -1)
        if not more or len(numbers) > 2 * limits.sparse_pieces + 50:
            break
        block = stream.take(BLOCK)
        part, more = block[:504], block[504]
    ends = numbers.index(-1) if -1 in numbers else len(numbers)
    return _pairs(numbers[:ends], limits)


def pax_pieces(found: Records, stream: Stream, limits: Limits) -> tuple[Pieces, int]:
    """Read the map of a sparse file of the PAX formats: it stands in a record, or (1.0) in blocks
    before the contents. Return it with the length of those blocks."""
    if (found.get(b"GNU.sparse.major"), found.get(b"GNU.sparse.minor")) == (b"1", b"0"):
        return _pieces_of_blocks(stream, limits)
    values = found.get(_MAP, b"")
    texts = values.split(b",", 2 * limits.sparse_pieces + 1) if values else []
    return _pairs(
        [decimal(value, "sparse map") for value in texts[: 2 * limits.sparse_pieces + 1]], limits
    ), 0


def _pieces_of_blocks(stream: Stream, limits: Limits) -> tuple[Pieces, int]:
    taken = 0

    def lines() -> Iterator[int]:
        nonlocal taken
        rest = b""
        while True:
            line, newline, after = rest.partition(b"\n")
            if newline:
                rest = after
                yield decimal(line, "sparse map")
            elif len(rest) > 20:
                raise Refusal(f"sparse map {shown(rest)}", "a number in each line")
            else:
                rest += stream.take(BLOCK)
                taken += BLOCK

    numbers = lines()
    count = next(numbers)
    if count > limits.sparse_pieces:
        raise Refusal(f"{count} pieces of a sparse file", f"at most {limits.sparse_pieces}")
    found = [next(numbers) for _ in range(2 * count)]
    return _pairs(found, limits), taken


def _pairs(numbers: list[int], limits: Limits) -> Pieces:
    """Make pieces of NUMBERS. Raises Refusal when they are not in order."""
    if len(numbers) % 2 or len(numbers) > 2 * limits.sparse_pieces:
        raise Refusal(
            f"a sparse map of {len(numbers)} numbers", f"pairs, at most {limits.sparse_pieces}"
        )
    pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
    end = 0
    for offset, length in pieces:
        if offset < end or length < 0:
            raise Refusal(
                f"a piece of a sparse file at {offset} of {length} bytes", "rising offsets"
            )
        end = offset + length
    return pieces
