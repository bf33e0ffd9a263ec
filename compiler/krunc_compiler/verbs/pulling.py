"""The boxes that a pull is about: the images that each names, and what its lock says of them."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from krunc_compiler.files.boxfiles import lock_file
from krunc_compiler.files.source import read
from krunc_compiler.files.within import ANYWHERE
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Finding, Located, Rejected, Source, UsageError
from krunc_compiler.findings.report import only, printable
from krunc_compiler.image.lock import Lock, LockedImage, read_lock
from krunc_compiler.image.platform import of_this_machine, platforms
from krunc_compiler.image.pull import Wanted
from krunc_compiler.image.store import Store
from krunc_compiler.image.unusable import Unusable
from krunc_compiler.pipeline.gathering import gather
from krunc_compiler.pipeline.naming import KEY, Named, images_of
from krunc_compiler.verbs.options import inputs

if TYPE_CHECKING:
    from krunc_compiler.image.fetching import Progress

_MIB = 1 << 20


@contextmanager
def stored(store: Store) -> Iterator[None]:
    """A block in which what is wrong with STORE rejects all."""
    try:
        yield
    except Unusable as error:
        finding = Finding(error.code, error.message, hint=error.hint)
        raise Rejected(only(store.directory, finding)) from None


class Box(NamedTuple):
    """A file of boxes: the images that it names, its text, where its lock lies, and what that
    says."""

    path: str
    images: list[Named]
    source: Source
    lock_path: str
    lock: Lock | None

    def wanted(self, asked: list[str] | None) -> Iterator[Wanted]:
        """Yield the images that the box names: for its `arch`, else for what is ASKED, else for
        what its lock has, else for this machine. Raises UsageError where that is none."""
        for image in self.images:
            locked = [known.platform for known in self._known(image.text)]
            platforms = [image.platform] if image.platform is not None else asked or locked
            for platform in dict.fromkeys(platforms or [_this_machine()]):
                yield self._wanted(image, platform)

    def locked(self, asked: list[str] | None) -> Iterator[tuple[Wanted, LockedImage]]:
        """Yield the images that the box names with what the lock says: for its `arch`, else for
        what is ASKED, else for all that it has. Raises Rejected where it says nothing."""
        findings = []
        for image in self.images:
            there = {known.platform: known for known in self._known(image.text)}
            platforms = [image.platform] if image.platform is not None else asked or list(there)
            for platform in dict.fromkeys(platforms):
                if platform in there:
                    yield self._wanted(image, platform), there[platform]
            if missing := set(platforms) - set(there) or (not there and {"any platform"}):
                findings.append(self._unlocked(image.text, sorted(missing)))
        if findings:
            raise Rejected([Located(self.source, finding) for finding in findings])

    def _unlocked(self, text: str, platforms: list[str]) -> Finding:
        if self.lock is None:
            message = f"there is no lock {self.lock_path}"
        else:
            message = f"{self.lock_path} does not have {text} for {' and '.join(platforms)}"
        return Finding("KR713", message, KEY, f"run krunc pull {self.path}, which writes it")

    def known(self, wanted: Wanted) -> LockedImage | None:
        """Return what the lock says of the image WANTED."""
        found = (one for one in self._known(wanted.text) if one.platform == wanted.platform)
        return next(found, None)

    def _known(self, text: str) -> list[LockedImage]:
        images = self.lock.images if self.lock is not None else ()
        return [image for image in images if image.reference == text]

    def _wanted(self, image: Named, platform: str) -> Wanted:
        home = os.path.dirname(self.path) or "."
        return Wanted(image.text, image.reference, home, platform)

    def tells(self, text: str, unusable: Unusable) -> Located:
        """Return the finding that the image of the box's TEXT is UNUSABLE."""
        message = f"{text}: {unusable.message}"
        return Located(self.source, Finding(unusable.code, message, KEY, unusable.hint))


def _this_machine() -> str:
    found = of_this_machine()
    if found is None:
        raise UsageError(f"libkrun has no guests on this machine; give --platform: {platforms()}")
    return found


def boxes(args: Namespace, findings: list[Located], is_locked: bool) -> list[Box]:
    """Return the boxes of ARGS that name images; what is wrong with others is added to FINDINGS. A
    lock that is none counts only when what IS_LOCKED is asked for: else it is written anew."""
    if "-" in args.boxes:
        raise UsageError("a lock lies beside a box: name a file, not standard input")
    gathered = gather(args.boxes, ANYWHERE)
    findings += gathered.findings
    # A plan or a policy that is named.
    for path in [*gathered.named, *(path for path in args.boxes if path in gathered.skipped)]:
        message, hint = "this is not a box", "name a box: krunc pull BOX.yaml"
        findings += only(path, Finding("KR001", message, hint=hint))
    given = inputs(Namespace(**vars(args), target=None))
    found = []
    for path in gathered.boxes:
        with contained(path, findings):
            images, source = images_of(*read(path), given)
            if images:
                lock = _lock(lock_file(path), is_locked)
                found.append(Box(path, images, source, lock_file(path), lock))
            elif path in args.boxes and not args.quiet:
                sys.stderr.write(f"krunc: {printable(path)} names no image\n")
    if not (found or findings or set(args.boxes) & set(gathered.boxes) or args.quiet):
        sys.stderr.write(
            f"krunc: no box in {' '.join(map(printable, args.boxes))} names an image\n"
        )
    return found


def _lock(path: str, is_locked: bool) -> Lock | None:
    if not os.path.lexists(path):
        return None
    try:
        return read_lock(read(path)[1], path)
    except Rejected:
        if is_locked:
            raise
        return None


class Line:
    """One line of a terminal, which tells how far the pull of the image TEXT is; none where there
    is no terminal, or it IS_QUIET."""

    def __init__(self, text: str, is_quiet: bool) -> None:
        self._text = printable(text)[:60]
        self._is_shown = not is_quiet and sys.stderr.isatty()
        self._last = ""

    def show(self, progress: Progress) -> None:
        """Show the PROGRESS."""
        if not self._is_shown:
            return
        done, total = mib(progress.done), mib(progress.total)
        layers = (
            f", {progress.layers} of {progress.of} layers" if progress.does == "fetching" else ""
        )
        line = f"{self._text}: {progress.does} {done} of {total}{layers}"
        if line != self._last:
            self._last = line
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line to what is written next."""
        if self._last:
            sys.stderr.write("\r\x1b[K")


def mib(size: int) -> str:
    """Return SIZE for a reader: 36.2 MiB."""
    return f"{size / _MIB:.1f} MiB" if size >= _MIB // 10 else f"{size:,} bytes"
