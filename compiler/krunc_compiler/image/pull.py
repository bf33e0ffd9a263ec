"""A pull: from the name of an image to a root in the store, and what a lock says of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from krunc_compiler.files.contents import contents
from krunc_compiler.findings.wording import why
from krunc_compiler.image import skopeo
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
from krunc_compiler.image.store import Store
from krunc_compiler.image.unusable import Unusable
from krunc_compiler.image.version import WRITER

if TYPE_CHECKING:
    from krunc_compiler.image.fetching import Watch

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
    with _within_reach(wanted, store) as near:
        raw = _outermost(near, pinned, store)
        digest = chosen(raw, wanted.platform)
        if (known := _known(wanted, digest, store)) is not None:
            return Pulled(known, False)
        image = _image(near, raw, digest)
        return _fetched(near, image, store, watch)


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
    with _within_reach(wanted, store) as near:
        raw = _outermost(near, locked.manifest, store)
        digest = chosen(raw, wanted.platform)
        if digest != locked.manifest:
            hint = "look at what changed it; to take it, run krunc pull without --locked"
            raise Unusable("KR713", f"it is {digest}; the lock says {locked.manifest}", hint)
        image = _image(near, raw, digest)
        return _fetched(near, image, store, watch, partial(_same, locked=locked))


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


@contextmanager
def _within_reach(wanted: Wanted, store: Store) -> Iterator[Wanted]:
    """WANTED, or where that is in an OCI archive, the same in a layout that is there until the
    block ends. Raises Unusable."""
    if wanted.reference.transport != "oci-archive":
        yield wanted
        return
    with store.work() as work:
        from krunc_compiler.image import local  # as few images are in archives

        with store.told():
            archive = os.path.join(wanted.home, wanted.reference.path)
            local.unpack(archive, os.path.join(work, "layout"), _most_unpacked(wanted))
        reference = wanted.reference._replace(transport="oci", path="layout")
        yield wanted._replace(reference=reference, home=work)


def _most_unpacked(wanted: Wanted) -> int:
    try:
        size = os.stat(os.path.join(wanted.home, wanted.reference.path)).st_size
    except OSError:
        size = 0  # who reads it says what is wrong with it
    return _FREE + _RATIO * size


def _fetched(
    near: Wanted,
    image: Manifest,
    store: Store,
    watch: Watch,
    agree: Callable[[LockedImage], None] | None = None,
) -> Pulled:
    from krunc_compiler.image.fetching import Fetch, fetched  # most pulls find all there

    unpacked = _most_unpacked(near) if near.reference.transport == "docker-archive" else 0
    fetch = Fetch(near.source(image.digest), image, near.text, near.platform, unpacked)
    return Pulled(fetched(fetch, store, watch, agree), True)


def _outermost(near: Wanted, digest: str | None, store: Store) -> bytes:
    """Return the manifest or index to which the reference leads, or of a registry the one with
    DIGEST. Raises Unusable."""
    if near.reference.transport == "docker-archive":
        _regular(os.path.join(near.home, near.reference.path))
        with store.work() as work:
            measure = partial(skopeo.bounded, work, _most_unpacked(near))
            return skopeo.manifest(near.source(), skopeo.Scratch(work, measure))
    if near.reference.transport == "oci":
        from krunc_compiler.image import local

        local.sound(os.path.join(near.home, near.reference.path))
    raw = skopeo.manifest(near.source(digest), None)
    if near.reference.transport == "docker" and digest not in (None, digest_of(raw)):
        raise refused(f"the registry sent {digest_of(raw)}; {digest} was asked for")
    return raw


def _regular(path: str) -> None:
    """Raise Unusable when PATH is no regular file: skopeo would wait for the writer of a pipe."""
    try:
        contents(path, 0)
    except OSError as error:
        hint = "look at the reference"
        raise Unusable("KR710", f"the archive cannot be read: {why(error)}", hint) from None


def _image(near: Wanted, raw: bytes, digest: str) -> Manifest:
    """Return the image with DIGEST, of which RAW is the manifest, or an index that names it. Raises
    Unusable: what it points to is not fetched then."""
    if digest_of(raw) != digest:
        if near.reference.transport == "docker":
            raw = skopeo.manifest(near.source(digest), None)
        else:
            from krunc_compiler.image import local

            layout = os.path.join(near.home, near.reference.path)
            raw = local.inner_manifest(layout, digest)
    if digest_of(raw) != digest:
        raise refused(f"its manifest is {digest_of(raw)}; {digest} was asked for")
    image = manifest(raw)
    if near.reference.transport == "docker-archive":
        # skopeo unpacks what is packed in one, and says gzip of it all the same.
        layers = tuple(layer._replace(media_type=PLAIN_LAYER) for layer in image.layers)
        image = image._replace(layers=layers)
    return image
