"""The bounds of a root: the one place where they stand. docs/images.md has them for readers."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What the layers of one image may ask for, at the most."""

    # Contents of all files of all layers, replaced ones too: what is written to the disk.
    root_bytes: int = 64 * GIB
    # A layer may unpack to `unpacked_free` bytes, and to `unpacked_ratio` for each byte of its
    # blob. gzip reaches 1,032 for zeros, zstd much more; layers of real images stay below 50.
    unpacked_free: int = 256 * MIB
    unpacked_ratio: int = 200
    # Entries of all layers, and the directories that they leave out.
    entries: int = 1_000_000
    # What stays in memory of them: names, targets of links, different extended attributes.
    tree_bytes: int = 256 * MIB
    depth: int = 256
    # Linux has these: NAME_MAX, PATH_MAX and the longest target of a symbolic link.
    name: int = 255
    path: int = 4_096
    link: int = 4_095
    # Directories and links passed on the way to one name, as the 40 of Linux.
    links_followed: int = 40
    steps: int = 1_024
    # Linux allows 65,536 for a value; erofs has 16 bits for its length.
    xattr_name: int = 255
    xattr_value: int = 65_535
    xattrs: int = 128
    xattr_bytes: int = 128 * 1024
    # One extended header (PAX, or a long name of GNU tar).
    extended_header: int = MIB
    # Pieces of one sparse file.
    sparse_pieces: int = 100_000


LIMITS = Limits()
