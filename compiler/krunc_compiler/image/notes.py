"""What the store noted of the images that its roots were made of."""

from __future__ import annotations

from krunc_compiler.findings.finding import Rejected
from krunc_compiler.image.lock import LockedImage, read_lock
from krunc_compiler.image.store import Store


def noted(manifest: str, store: Store) -> LockedImage | None:
    """Return the image with the digest MANIFEST as a lock has it; None when STORE never made its
    root."""
    text = store.note(manifest)
    if text is None:
        return None
    try:
        images = read_lock(text, "note").images
    except Rejected:
        return None  # another krunc's
    is_it = len(images) == 1 and images[0].manifest == manifest
    return images[0] if is_it else None


def images(store: Store) -> dict[str, list[LockedImage]]:
    """Return the images that each root of STORE was made of, as first asked for. Raises
    Unusable."""
    found: dict[str, list[LockedImage]] = {}
    for manifest in store.manifests():
        image = noted(manifest, store)
        if image is not None:
            found.setdefault(image.root.digest, []).append(image)
    return found


def forget_the_gone(store: Store) -> None:
    """Remove the notes of STORE about roots that it does not have. Raises Unusable."""
    there = {root.digest for root in store.roots()}
    for manifest in store.manifests():
        image = noted(manifest, store)
        if image is None or image.root.digest not in there:
            store.forget(manifest)
