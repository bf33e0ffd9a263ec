"""Fetching an image whose manifest is known: its blobs into a directory of the store, the root out
of them, and the root into its place."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from krunc_compiler.files.contents import contents
from krunc_compiler.findings.finding import Rejected, dotted
from krunc_compiler.image import skopeo
from krunc_compiler.image.layers import Layer
from krunc_compiler.image.lock import (
    Lock,
    LockedImage,
    LockedLayer,
    LockedRoot,
    lock_text,
    read_lock,
)
from krunc_compiler.image.machine import for_others, named
from krunc_compiler.image.manifest import (
    MAX_CONFIG,
    MAX_MANIFEST,
    Manifest,
    config,
    refused,
    shown,
)
from krunc_compiler.image.refusal import LayerError
from krunc_compiler.image.root import Root, write_root
from krunc_compiler.image.run_config import Config, Run
from krunc_compiler.image.store import Store
from krunc_compiler.image.user import MAX_FILE, user
from krunc_compiler.image.version import WRITER

# What skopeo writes beside the blobs: the manifest, and which version of a directory this is.
_BESIDE = MAX_MANIFEST + (1 << 12)


class Progress(NamedTuple):
    """How far a fetch is: what it does, bytes that are done, of how many, and layers."""

    does: str
    done: int
    total: int
    layers: int
    of: int


Watch = Callable[[Progress], None]


class Fetch(NamedTuple):
    """What is fetched: the image as skopeo takes it, its manifest, the box's words for it, its
    platform, and how many bytes skopeo may unpack meanwhile."""

    source: skopeo.Source
    image: Manifest
    text: str
    platform: str
    unpacked: int


def fetched(
    fetch: Fetch, store: Store, watch: Watch, agree: Callable[[LockedImage], None] | None = None
) -> LockedImage:
    """Return what a lock says of the image of FETCH, whose root is then in STORE, unless AGREE
    raises something about it. Raises Unusable."""
    image = fetch.image
    with store.told(), store.work() as work:
        store.roomy(image.size)
        target, scratch = os.path.join(work, "image"), os.path.join(work, "unpacked")
        os.mkdir(target)
        os.mkdir(scratch)
        measure = partial(_measured, target, scratch, fetch, watch)
        skopeo.copy(fetch.source, fetch.platform, target, skopeo.Scratch(scratch, measure))
        if contents(os.path.join(target, "manifest.json"), MAX_MANIFEST + 1) != image.raw:
            raise refused("its manifest changed while it was fetched", "try again")
        found = config(_blob(target, image.config.digest), image, fetch.platform)
        made = os.path.join(work, "root")
        with open(made, "w+b") as out, TemporaryFile(dir=work) as rest:
            root = _written(_layers(target, found, fetch, watch), out, rest)
            run = _run(found, root)
            _right(root, run, fetch.platform)
        layers = tuple(LockedLayer(layer.digest, layer.size) for layer in image.layers)
        made_of = LockedImage(
            fetch.text,
            fetch.platform,
            image.digest,
            image.config.digest,
            layers,
            LockedRoot(root.digest, root.size, WRITER),
            run,
        )
        note = lock_text(Lock((made_of,)))
        _readable(note)
        if agree is not None:
            agree(made_of)
        store.keep(made, root.digest)
        store.keep_note(image.digest, note)
    return made_of


def _readable(text: str) -> None:
    """Raise Unusable when a lock of TEXT would be refused where it is read."""
    try:
        read_lock(text, "lock")
    except Rejected as rejected:
        found = rejected.findings[0].finding
        raise refused(f"its config: {dotted(found.path)}: {shown(found.message, 200)}") from None


def _blob(target: str, digest: str) -> bytes:
    return contents(os.path.join(target, digest.removeprefix("sha256:")), MAX_CONFIG + 1)


def _measured(target: str, scratch: str, fetch: Fetch, watch: Watch) -> int:
    """Return the bytes that skopeo has written. Raises Unusable when they are too many."""
    there, total = skopeo.size_below(target), fetch.image.size
    if there > total + _BESIDE:
        raise refused(f"more bytes came than the {total:,} that its manifest says")
    unpacked = skopeo.bounded(scratch, fetch.unpacked)
    layers = fetch.image.layers
    names = {layer.digest.removeprefix("sha256:") for layer in layers}
    done = sum(os.path.exists(os.path.join(target, name)) for name in names)
    watch(Progress("fetching", min(there, total), total, done, len(names)))
    return there + unpacked


class _Counted(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: str, tell: Callable[[int], None]) -> None:
        super().__init__(path)
        self._tell = tell

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size) or b""
        self._tell(len(data))
        return data


def _layers(target: str, found: Config, fetch: Fetch, watch: Watch) -> list[Layer]:
    """Return the layers in the directory TARGET, which tell WATCH how much of them was read."""
    layers = fetch.image.layers
    total = sum(layer.size for layer in layers)
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        watch(Progress("writing", min(done, total), total, 0, len(layers)))

    rows = []
    for layer, diff_id in zip(layers, found.diff_ids, strict=True):
        path = os.path.join(target, layer.digest.removeprefix("sha256:"))
        opened = partial(_Counted, path, tell)
        rows.append(Layer(opened, layer.media_type, layer.digest, layer.size, diff_id))
    return rows


def _written(layers: list[Layer], out: BinaryIO, rest: BinaryIO) -> Root:
    try:
        return write_root(layers, out, rest)
    except LayerError as error:
        raise refused(str(error)) from None


def _right(root: Root, run: Run, platform: str) -> None:
    """Raise Unusable when the program of ROOT is for another machine than the image says."""
    found = for_others(root, run, platform)
    if found is not None:
        path, machine = found
        raise refused(
            f"its config says {platform}, and {shown(path)} in it is a program for "
            f"{named(machine)}",
            f"the image has a wrong label: build it again for {platform}, or name another",
        )


def _run(found: Config, root: Root) -> Run:
    if not found.user:
        return found.run
    passwd, group = (root.read(path, MAX_FILE) or b"" for path in ("/etc/passwd", "/etc/group"))
    return found.run._replace(user=user(found.user, passwd, group))
