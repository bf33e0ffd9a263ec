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
    device = _first(row, args["path"])
    layers = f"{args['layers']} layer{'' if args['layers'] == 1 else 's'}"
    text = f"{word(args['reference'])} {word(args['manifest'][:_SHOWN])}... "
    text += f"({layers}, {_size(args['size'])}), {word(args['platform'])}, "
    text += f"the disk {word(device)}" if device is not None else "no disk of this plan"
    code = [
        Reach("code", "root", args["path"].removeprefix(STORE)),
        *(Reach("code", name, args[name]) for name in ("manifest", "config")),
    ]
    yield row.fact("image", "image", text, *code)


def is_shown(row: Row) -> bool:
    """Tell whether the disk of ROW is the one that the image's fact shows, attached as an image
    is."""
    args = row.args
    plain = args.get("disk_format", "raw") == "raw" and args.get("read_only") is True
    is_it = row.image != "" and args["disk_path"] == row.image
    return plain and is_it and row.device == _first(row, row.image)


def _first(row: Row, path: str) -> str | None:
    """Return what the guest calls the first disk of PATH; None without one."""
    return next((name for name, one in row.disks.items() if one == path), None)


def called(path: str, row: Row) -> str:
    """Return how a sentence names the disk image PATH."""
    return "the image" if path == row.image else word(path)


def _size(size: int) -> str:
    unit, bits = next(((unit, bits) for unit, bits in _UNITS if size >> bits), ("bytes", 0))
    return f"{(size + (1 << bits >> 1)) >> bits} {unit}"
