"""Locks made by hand, as a pull writes them."""

from __future__ import annotations

from typing import Any

from krunc_compiler.image.lock import Lock, LockedImage, LockedLayer, LockedRoot, lock_text
from krunc_compiler.image.run_config import Run, User

APP = User("app", 1000, 1000, (), "/home/app")


def digest(letter: str) -> str:
    """A digest that is LETTER all over."""
    return "sha256:" + letter * 64


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
