"""Locks made by hand, as a pull writes them."""

from __future__ import annotations

import io
import os
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from krunc_compiler.image.lock import Lock, LockedImage, LockedLayer, LockedRoot, lock_text
from krunc_compiler.image.run_config import Run, User
from tars import layer, written

# What stands in for a root in the store.
ROOT = b"what is in \xff it"
# The processors of this machine, as a box and as an image name them.
ARCH, PLATFORM = (
    ("arm64", "linux/arm64") if os.uname().machine == "aarch64" else ("x86_64", "linux/amd64")
)
APP = User("app", 1000, 1000, (), "/home/app")


def digest(letter: str) -> str:
    """A digest that is LETTER all over."""
    return "sha256:" + letter * 64


def launchable(image: LockedImage) -> LockedImage:
    """IMAGE with a root that `stored` lays into a store."""
    return image._replace(root=LockedRoot("sha256:" + sha256(ROOT).hexdigest(), len(ROOT), 1))


def stored(store: Path) -> Path:
    """Lays the root of launchable images into STORE."""
    store.mkdir(mode=0o700, exist_ok=True)
    file = store / f"sha256-{sha256(ROOT).hexdigest()}.erofs"
    file.unlink(missing_ok=True)
    file.write_bytes(ROOT)
    file.chmod(0o444)
    return file


def stored_root(rootfs: Path, store: Path) -> LockedRoot:
    """Lay into STORE the root that has what the directory ROOTFS has; what a lock says of it."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(rootfs, ".")
    _, data = written([layer(tar.getvalue())])
    found = LockedRoot("sha256:" + sha256(data).hexdigest(), len(data), 1)
    store.mkdir(mode=0o700, exist_ok=True)
    (store / f"sha256-{found.digest.removeprefix('sha256:')}.erofs").write_bytes(data)
    return found


def image(reference: str = "app:1.4", platform: str = "linux/amd64", **run: Any) -> LockedImage:
    """An image of three layers and 36 MB whose config has RUN."""
    return LockedImage(
        reference,
        platform,
        digest("a"),
        digest("b"),
        tuple(LockedLayer(digest(letter), 1 << 20) for letter in "cde"),
        LockedRoot(digest("8"), 36 << 20, 1),
        Run(**run),
    )


def text(*images: LockedImage) -> str:
    """The lock of IMAGES."""
    return lock_text(Lock(images))
