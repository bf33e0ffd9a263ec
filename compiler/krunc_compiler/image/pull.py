"""A pull: from the name of an image to a root in the store, and what a lock says of it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from krunc_compiler.image import local, skopeo
from krunc_compiler.image.fetching import Fetch, Watch, bounded, fetched
from krunc_compiler.image.lock import LockedImage
from krunc_compiler.image.manifest import (
    PLAIN_LAYER,
    Manifest,
    chosen,
    digest_of,
    manifest,
    refused,
)
from krunc_compiler.image.notes import images, noted
from krunc_compiler.image.reference import Reference
from krunc_compiler.image.root import WRITER
from krunc_compiler.image.store import Store
from krunc_compiler.image.unusable import Unusable

# What an archive may unpack to while skopeo looks into it: layers gain little when they are packed
# again.
_FREE, _RATIO = 1 << 30, 32


class Wanted(NamedTuple):
    """An image that a box names: the box's words, the reference that they are, the directory from
    which its paths start, and the platform."""

    text: str
    reference: Reference
    home: str
    platform: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What two boxes share that name the same image for the same platform."""
        home = "" if self.reference.transport == "docker" else os.path.realpath(self.home)
        return self.reference.full(), home, self.platform

    def source(self, digest: str | None = None) -> skopeo.Source:
        """Return what skopeo takes; of a registry with DIGEST, the manifest that has it."""
        reference = self.reference
        if digest is not None and reference.transport == "docker":
            reference = reference._replace(digest=digest)
        return skopeo.Source(reference.source(""), self.home)


class Pulled(NamedTuple):
    """What a lock says of an image, and whether it was fetched for that."""

    image: LockedImage
    is_fetched: bool


def pull(wanted: Wanted, store: Store, watch: Watch) -> Pulled:
    """Return what a lock says of the image WANTED, whose root is then in STORE. Where STORE has it
    already, by its own notes, nothing is fetched. Raises Unusable."""
    pinned = wanted.reference.digest
    # Whatever a registry answers, a digest is of one image alone.
    if pinned is not None and (known := _known(wanted, pinned, store)) is not None:
        return Pulled(known, False)
    with ExitStack() as stack:
        raw = _outermost(wanted, None, store, stack)
        digest = chosen(raw, wanted.platform)
        if (known := _known(wanted, digest, store)) is not None:
            return Pulled(known, False)
        image = _image(wanted, raw, digest)
    return Pulled(fetched(_fetch(wanted, image), store, watch), True)


def pull_locked(wanted: Wanted, locked: LockedImage, store: Store, watch: Watch) -> Pulled:
    """Fetch exactly the image that is LOCKED, where STORE does not have it. Raises Unusable when
    there is another one, and then nothing is in STORE that was not."""
    known = _known(wanted, locked.manifest, store)
    if known is not None and known.root.writer == locked.root.writer:
        _same(known, locked)
        return Pulled(known, False)
    # Of a root that was imported nothing else is known; one of another image proves nothing.
    if store.has(locked.root.digest, locked.root.size) and locked.root.digest not in images(store):
        return Pulled(locked, False)
    if locked.root.writer != WRITER:
        raise Unusable(
            "KR713",
            f"the lock's root is of version {locked.root.writer} of the writer; this krunc has "
            f"version {WRITER}",
            "run krunc pull and review the lock, or take the krunc that wrote it",
        )
    with ExitStack() as stack:
        raw = _outermost(wanted, locked.manifest, store, stack)
        digest = chosen(raw, wanted.platform)
        if digest != locked.manifest:
            hint = "look at what changed it; to take it, run krunc pull without --locked"
            raise Unusable("KR713", f"it is {digest}; the lock says {locked.manifest}", hint)
        image = _image(wanted, raw, digest)
    return Pulled(fetched(_fetch(wanted, image), store, watch, partial(_same, locked=locked)), True)


def _same(image: LockedImage, locked: LockedImage) -> None:
    """Raise Unusable when IMAGE, of the same manifest, is not what is LOCKED."""
    hint = "the lock is not what krunc pull writes: run it, and review what changes"
    if image.root.digest != locked.root.digest:
        message = f"its root is {image.root.digest}; the lock says {locked.root.digest}"
        raise Unusable("KR713", message, hint)
    for field, found, said in zip(image._fields, image, locked, strict=True):
        if found != said and field != "reference":
            raise Unusable("KR713", f"the lock's {field} is not that of the image", hint)


def _known(wanted: Wanted, digest: str, store: Store) -> LockedImage | None:
    """Return what STORE made of the image with DIGEST, whose root it still has."""
    image = noted(digest, store)
    if image is None or (image.platform, image.root.writer) != (wanted.platform, WRITER):
        return None
    if not store.has(image.root.digest, image.root.size):
        return None
    return image._replace(reference=wanted.text)


def _fetch(wanted: Wanted, image: Manifest) -> Fetch:
    unpacked = _most_unpacked(wanted) if _is_archive(wanted) else 0
    return Fetch(wanted.source(image.digest), image, wanted.text, wanted.platform, unpacked)


def _is_archive(wanted: Wanted) -> bool:
    return wanted.reference.transport in ("oci-archive", "docker-archive")


def _most_unpacked(wanted: Wanted) -> int:
    try:
        size = os.stat(os.path.join(wanted.home, wanted.reference.path)).st_size
    except OSError:
        size = 0  # skopeo says what is wrong with it
    return _FREE + _RATIO * size


def _outermost(wanted: Wanted, digest: str | None, store: Store, stack: ExitStack) -> bytes:
    """Return the manifest or index to which the reference leads, or the one of a registry with
    DIGEST. Raises Unusable."""
    scratch = None
    if _is_archive(wanted):
        directory = stack.enter_context(store.work())
        scratch = skopeo.Scratch(directory, partial(bounded, directory, _most_unpacked(wanted)))
    return skopeo.manifest(wanted.source(digest), scratch)


def _image(wanted: Wanted, raw: bytes, digest: str) -> Manifest:
    """Return the image with DIGEST, of which RAW is the manifest, or an index that names it. Raises
    Unusable: what it points to is not fetched then."""
    if digest_of(raw) != digest:
        if wanted.reference.transport == "docker":
            raw = skopeo.manifest(wanted.source(digest), None)
        else:
            raw = local.inner_manifest(wanted.reference, wanted.home, digest)
    if digest_of(raw) != digest:
        raise refused(f"its manifest is {digest_of(raw)}; {digest} was asked for")
    image = manifest(raw)
    if wanted.reference.transport == "docker-archive":
        # skopeo unpacks what is packed in one, and says gzip of it all the same.
        layers = tuple(layer._replace(media_type=PLAIN_LAYER) for layer in image.layers)
        image = image._replace(layers=layers)
    return image
