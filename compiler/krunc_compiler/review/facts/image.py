"""The image that is the guest's root."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.files.hostpath import STORE
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.words import word

# So many of a digest's characters stand in a sentence; the operation has all.
_SHOWN = len("sha256:") + 12
_UNITS = (("GiB", 30), ("MiB", 20), ("KiB", 10))


def required(row: Row) -> Iterator[Fact]:
    """Yield the image. Which code it is, digests say; its name is what somebody called it."""
    args = row.args
    device = next((name for name, path in row.disks.items() if path == args["path"]), None)
    layers = f"{args['layers']} layer{'' if args['layers'] == 1 else 's'}"
    text = f"{word(args['reference'])} {args['manifest'][:_SHOWN]}... "
    text += f"({layers}, {_size(args['size'])}), {word(args['platform'])}, "
    text += f"the disk {word(device)}" if device is not None else "no disk of this plan"
    code = [
        Reach("code", "root", args["path"].removeprefix(STORE)),
        *(Reach("code", name, args[name]) for name in ("manifest", "config")),
    ]
    yield row.fact("image", "image", text, *code)


def is_shown(row: Row) -> bool:
    """Tell whether the disk of ROW is the image that a fact shows, as an image is attached."""
    args = row.args
    plain = args.get("disk_format", "raw") == "raw" and args.get("read_only") is True
    return plain and row.image != "" and args["disk_path"] == row.image


def called(path: str, row: Row) -> str:
    """Return how a sentence names the disk image PATH."""
    return "the image" if path == row.image else word(path)


def _size(size: int) -> str:
    unit, bits = next(((unit, bits) for unit, bits in _UNITS if size >> bits), ("bytes", 0))
    return f"{(size + (1 << bits >> 1)) >> bits} {unit}"
