"""The images of a file of boxes, as the lock beside it has them. Nothing else is asked: no store,
no registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from krunc_compiler.files.boxfiles import lock_file
from krunc_compiler.files.source import read_file
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Finding, Located, Path, Rejected
from krunc_compiler.image.platform import of_arch
from krunc_compiler.libkrun import architectures
from krunc_compiler.text.strict_json import source_of

# Few boxes have an image: what reads references and locks is imported when one has.
if TYPE_CHECKING:
    from krunc_compiler.image.lock import Lock, LockedImage

_WHERE: Path = ("rootfs", "image")
_PULL = "run `krunc pull {}`, and commit the lock beside the box"
# Stands in where there is none, so that everything else that is wrong is told, too.
_NO_DIGEST = "sha256:" + "0" * 64


class Images:
    """The lock of the file NAME, read when the first box of it asks, and what was asked for.
    `findings` are about the lock itself."""

    def __init__(self, name: str, within: Within) -> None:
        self._box = "stdin" if name == "<stdin>" else name
        self._name = ""  # of the lock, when a box has asked
        self._within = within
        self._lock: Lock | None = None
        self._text = ""
        self._is_read = False
        self._asked: set[LockedImage] = set()
        self.findings: list[Located] = []

    def of(self, value: dict[str, Any]) -> tuple[LockedImage | None, list[Finding]]:
        """Return the image that is the root of the box with the filled VALUE, and why it is none.
        None for another root; one that cannot be had has a stand-in."""
        root, arch = value.get("rootfs", {}), value.get("arch")
        if "image" not in root:
            return None, []
        from krunc_compiler.image.reference import FORM, NotAReference, parse

        reference = root["image"]
        try:
            parse(reference)
        except NotAReference as error:
            found = Finding(
                "KR106", f"{reference!r} names no image: {error}", _WHERE, f"write {FORM}"
            )
            return _stand_in(reference), [found]
        if not self._is_read:
            self._read()
        platform = of_arch(arch)
        fitting = self._fitting(reference, platform)
        if len(fitting) == 1:
            self._asked.add(fitting[0])
            return fitting[0], []
        return _stand_in(reference), self._wrong(reference, platform, fitting)

    def _read(self) -> None:
        from krunc_compiler.image.lock import read_lock

        self._is_read = True
        self._name = lock_file(self._box)
        try:
            self._text = self._content()
            self._lock = read_lock(self._text, self._name) if self._text else None
        except Rejected as rejected:
            self.findings += rejected.findings

    def _content(self) -> str:
        """Return the text of the lock; empty where there is none. Raises Rejected."""
        if ":" in self._name and self._within is ANYWHERE:
            from krunc_compiler.files import git as revision  # it starts git, which few boxes need

            # The lock of a box at a revision is of that revision, too.
            if revision.is_one(self._name):
                try:
                    return revision.read(self._name)
                except Rejected:
                    return ""
        return read_file(self._name, self._within) if os.path.lexists(self._name) else ""

    def _fitting(self, reference: str, platform: str | None) -> list[LockedImage]:
        return [
            image
            for image in (self._lock.images if self._lock is not None else ())
            if image.reference == reference and platform in (None, image.platform)
        ]

    def _wrong(
        self, reference: str, platform: str | None, fitting: list[LockedImage]
    ) -> list[Finding]:
        if self.findings:
            return []  # the lock is to be mended first
        if fitting:
            names = " and ".join(image.platform for image in fitting)
            arches = " or ".join(architectures())
            hint = f"write `arch: {arches}`; a matrix makes a box of each"
            message = f"rootfs.image needs arch: {self._name} has it for {names}"
            return [Finding("KR210", message, _WHERE, hint, at_key=True)]
        if self._lock is None:
            message = f"there is no lock {self._name} that says which image this is"
        else:
            which = f" for {platform}" if platform is not None else ""
            message = f"{self._name} does not have {reference}{which}"
        return [Finding("KR702", message, _WHERE, hint=_PULL.format(self._box))]

    def unused(self) -> Iterator[Located]:
        """Yield a warning for each image of the lock that no box has asked for."""
        if self._lock is None:
            return
        source = None
        for i, image in enumerate(self._lock.images):
            if image not in self._asked:
                source = source or source_of(self._name, self._text)
                said = f"no box of {self._box} names {image.reference} for {image.platform}"
                hint = f"run `krunc pull {self._box}`: it leaves out what no box names"
                yield Located(source, Finding("KR703", said, ("images", i), hint=hint))


def _stand_in(reference: str) -> LockedImage:
    from krunc_compiler.image.lock import LockedImage, LockedLayer, LockedRoot
    from krunc_compiler.image.run_config import Run

    root = LockedRoot(_NO_DIGEST, 1, 1)
    layers = (LockedLayer(_NO_DIGEST, 0),)
    run = Run(entrypoint=("/",))
    return LockedImage(reference, "linux/amd64", _NO_DIGEST, _NO_DIGEST, layers, root, run)
