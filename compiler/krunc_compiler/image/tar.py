"""The entries of a tar: POSIX (ustar, PAX), GNU and the forms before them.

Not tarfile: it takes damage after the first entry for the end, keeps every member, follows rules
of its own for sizes and types, and takes 2.4 times as long for an entry. A layer means what it
means to the engines, which are written in Go; where readers differ, this does as Go's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG

from krunc_compiler.image import pax
from krunc_compiler.image.fields import decimal, number, text, time
from krunc_compiler.image.limits import Limits
from krunc_compiler.image.refusal import Refusal, shown
from krunc_compiler.image.stream import BLOCK, Stream

HARD_LINK = 0
_KINDS = {
    b"0": S_IFREG, b"\0": S_IFREG, b"7": S_IFREG, b"S": S_IFREG, b"1": HARD_LINK, b"2": S_IFLNK,
    b"3": S_IFCHR, b"4": S_IFBLK, b"5": S_IFDIR, b"6": S_IFIFO,
}  # fmt: skip
_NOBODY = (1 << 32) - 1  # -1: no user's number
_MAX_SIZE = 1 << 62


@dataclass
class Entry:
    """One entry, with its contents still in the stream."""

    name: bytes
    kind: int  # as in st_mode, or HARD_LINK
    mode: int
    uid: int
    gid: int
    mtime: tuple[int, int]
    link: bytes
    device: tuple[int, int]
    size: int  # of the contents, holes included
    stored: int  # of the contents in the tar
    pieces: pax.Pieces | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


def entries(stream: Stream, limits: Limits) -> Iterator[Entry]:
    """Yield the entries of the tar in STREAM. Who takes one takes its `stored` bytes from the
    stream before the next. Raises Refusal."""
    everywhere: pax.Records = {}
    extended: pax.Records = {}
    long_name = long_link = b""
    waits = False
    while header := _header(stream):
        kind = header[156:157]
        if kind in (b"x", b"g", b"L", b"K"):
            data = _extended(header, stream, limits)
            if kind == b"g":
                everywhere.update(pax.records(data))
                if sum(map(len, (*everywhere, *everywhere.values()))) > limits.extended_header:
                    most = limits.extended_header
                    raise Refusal("more extended headers for all entries", f"{most} bytes of them")
            elif kind == b"x":
                extended, waits = pax.records(data), True
            elif kind == b"L":
                long_name, waits = text(data), True
            else:
                long_link, waits = text(data), True
            continue
        found = {**everywhere, **extended} if everywhere else extended
        entry = _entry(header, found, stream, limits)
        entry.name, entry.link = long_name or entry.name, long_link or entry.link
        yield entry
        stream.skip(-entry.stored % BLOCK)
        extended, long_name, long_link, waits = {}, b"", b"", False
    if waits:
        raise Refusal("an extended header without an entry", "an entry after it")


def _header(stream: Stream) -> bytes:
    """Return the next header, or nothing at the end: of the stream, or two blocks of zeros, after
    which only zeros may come."""
    header = stream.block()
    if not header or header.count(0) == BLOCK:
        for piece in stream.rest():
            if piece.count(0) != len(piece):
                raise Refusal("data after the end of the tar", "nothing but zeros")
        return b""
    found = number(header[148:156], "checksum")
    rest = header[:148] + header[156:]
    total = sum(rest) + 256
    # Old writers summed up signed bytes.
    if found != total and found != total - 256 * sum(byte > 127 for byte in rest):
        raise Refusal(f"a header with checksum {found}", f"a tar header, or {total}")
    return header


def _extended(header: bytes, stream: Stream, limits: Limits) -> bytes:
    size = number(header[124:136], "size")
    if not 0 <= size <= limits.extended_header:
        raise Refusal(f"an extended header of {size} bytes", f"at most {limits.extended_header}")
    data = stream.take(size)
    stream.skip(-size % BLOCK)
    return data


def _entry(header: bytes, found: pax.Records, stream: Stream, limits: Limits) -> Entry:
    letter = header[156:157]
    kind = _KINDS.get(letter)
    name = found.get(b"path") or _name(header)
    if kind is None:
        raise Refusal(f"type {shown(letter)}", "a file, directory, link, device or FIFO", name)
    try:
        return _filled(header, found, stream, limits, name, kind)
    except Refusal as refusal:
        refusal.entry = refusal.entry or name
        raise


def _filled(
    header: bytes, found: pax.Records, stream: Stream, limits: Limits, name: bytes, kind: int
) -> Entry:
    if header[156] == 0 and name.endswith(b"/"):
        kind = S_IFDIR  # before there was a type for it
    stored = 0
    if kind == S_IFREG:
        size = found.get(b"size")
        stored = decimal(size, "size") if size else number(header[124:136], "size")
    modified = found.get(b"mtime")
    device = (0, 0)
    if kind in (S_IFCHR, S_IFBLK):
        device = number(header[329:337], "device"), number(header[337:345], "device")
        if not (0 <= device[0] < 1 << 12 and 0 <= device[1] < 1 << 20):
            raise Refusal(f"device {device[0]}:{device[1]}", "at most 4095:1048575")
    entry = Entry(
        name,
        kind,
        number(header[100:108], "mode") & 0o7777,
        _owner(found.get(b"uid"), header[108:116], "uid"),
        _owner(found.get(b"gid"), header[116:124], "gid"),
        time(modified) if modified else (number(header[136:148], "mtime"), 0),
        found.get(b"linkpath") or text(header[157:257]),
        device,
        stored,
        stored,
    )
    if not 0 <= stored < _MAX_SIZE:
        raise Refusal(f"a size of {stored}", "0 or more, below 2^62")
    if not -(1 << 62) < entry.mtime[0] < 1 << 62:
        raise Refusal(f"mtime {entry.mtime[0]}", "64 bits")
    if found:
        entry.xattrs = pax.xattrs(found)
    if kind == S_IFREG:
        _lay_out(entry, header, found, stream, limits)
    return entry


def _lay_out(
    entry: Entry, header: bytes, found: pax.Records, stream: Stream, limits: Limits
) -> None:
    """Work out where the contents of a sparse file belong."""
    if header[156:157] == b"S":
        entry.size = number(header[483:495], "size")
        entry.pieces = pax.gnu_pieces(header, stream, limits)
    elif size := found.get(b"GNU.sparse.realsize") or found.get(b"GNU.sparse.size"):
        entry.name = found.get(b"GNU.sparse.name") or entry.name
        entry.size = decimal(size, "size")
        entry.pieces, taken = pax.pax_pieces(found, stream, limits)
        entry.stored -= taken
    else:
        return
    last = entry.pieces[-1] if entry.pieces else (0, 0)
    length = sum(length for _, length in entry.pieces)
    if sum(last) > entry.size or length != entry.stored or entry.size >= _MAX_SIZE:
        raise Refusal(
            f"pieces of {length} bytes up to {sum(last)}",
            f"{entry.stored}, in the tar, up to {entry.size}, the size",
        )


def _owner(record: bytes | None, field: bytes, what: str) -> int:
    owner = decimal(record, what) if record else number(field, what)
    if not 0 <= owner < _NOBODY:
        raise Refusal(f"{what} {owner}", f"0 to {_NOBODY - 1}")
    return owner


def _name(header: bytes) -> bytes:
    name = text(header[:100])
    if header[257:263] == b"ustar\0":
        # star keeps times behind a shorter prefix.
        prefix = text(header[345:476] if header[508:512] == b"tar\0" else header[345:500])
        return prefix + b"/" + name if prefix else name
    return name
