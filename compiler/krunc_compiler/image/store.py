"""The store: roots of images, each a file with the name of its digest.

A root is written beside its place and renamed when it is whole, so under its name it is whole or
not there. Beside it lie notes: when it was compared with its name, and what was made of which
manifest. They are believed when nobody else can have written them.

What a pull has not finished lies in a directory of its own, which it holds locked; who finds one
that nobody holds removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import NamedTuple

from krunc_compiler.files.stopping import Cleaned
from krunc_compiler.findings.wording import why
from krunc_compiler.image.storefile import (
    OTHERS_WRITE,
    believed,
    digest_of_file,
    doubted,
    record,
    remove_tree,
    sync_directory,
)
from krunc_compiler.image.unusable import Unusable

_ROOT = re.compile(r"sha256-([0-9a-f]{64})\.erofs")
_NOTE = re.compile(r"sha256-([0-9a-f]{64})\.image")
_WORK = ".pull-"
_MODE = 0o444
_ANOTHER = "another directory: --store, or KRUNC_STORE"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root(NamedTuple):
    """A root of the store: its digest, its size, and when its content was compared with its name
    last, in seconds; None: not as it is now."""

    digest: str
    size: int
    checked: float | None


class Store:
    """The store in a directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def path(self, digest: str) -> str:
        """Return where the root with DIGEST lies, or would."""
        return os.path.join(self.directory, f"sha256-{digest.removeprefix('sha256:')}.erofs")

    def open(self) -> None:
        """Make the directory where it is missing, and remove what pulls that are gone left there.
        Raises Unusable when others may write to it."""
        with self.told():
            # Whatever the umask, others may not write to it.
            os.makedirs(os.path.dirname(os.path.abspath(self.directory)), 0o755, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(self.directory, 0o755)
            self._trusted()
        self.sweep()

    @contextmanager
    def told(self) -> Iterator[None]:
        """A block whose errors of the system are told as the store's: raises Unusable."""
        try:
            yield
        except OSError as error:
            path = self.directory if error.filename is None else os.fsdecode(error.filename)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            does = "make room, or choose" if full else "choose"
            raise _refused(path, why(error), f"{does} {_ANOTHER}") from None

    def roomy(self, size: int) -> None:
        """Raise Unusable when the store's file system has no room for SIZE bytes."""
        status = os.statvfs(self.directory)
        room = status.f_bavail * status.f_frsize
        if room < size:
            said = f"{room:,} bytes are free, and the image has {size:,}"
            raise _refused(self.directory, said, f"make room, or choose {_ANOTHER}")

    def _trusted(self) -> None:
        status = os.stat(self.directory)
        problem = ""
        if not S_ISDIR(status.st_mode):
            problem = "it is not a directory"
        elif status.st_uid not in (0, os.geteuid()):
            problem = f"it belongs to another user ({status.st_uid})"
        elif status.st_mode & OTHERS_WRITE:
            problem = f"others may write to it (mode {S_IMODE(status.st_mode):04o})"
        if problem:
            hint = f"chmod go-w it, or choose {_ANOTHER}"
            raise _refused(self.directory, problem, hint)

    def has(self, digest: str, size: int) -> bool:
        """Tell whether the root with DIGEST and SIZE is there, is what its name says, and only its
        owner can have changed it."""
        path = self.path(digest)
        with self.told():
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return False
            if status.st_size != size or doubted(status):
                return False
            if self._when(digest, status) is not None:
                return True
            if digest_of_file(path) != digest:
                return False
        self._remember(digest)
        return True

    def keep(self, made: str, digest: str) -> None:
        """Put the file MADE, which lies in a directory of `work`, in the place of the root with
        DIGEST. Raises Unusable."""
        path = self.path(digest)
        with self.told():
            descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, _MODE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(made, path)
            sync_directory(self.directory)
        self._remember(digest)

    def _remember(self, digest: str) -> None:
        """Write down that the root with DIGEST was compared with its name, where that can be."""
        with suppress(OSError, Unusable):  # of a store that is only read
            self._write(self._checked(digest), record(os.lstat(self.path(digest))))

    def keep_note(self, manifest: str, text: str) -> None:
        """Keep TEXT as what was made of the image with the digest MANIFEST."""
        with suppress(OSError, Unusable):  # it is made again then
            self._write(self._note_path(manifest), text)

    def note(self, manifest: str) -> str | None:
        """Return what was made of the image with the digest MANIFEST; None when nothing was."""
        return believed(self._note_path(manifest))[0]

    def _write(self, path: str, text: str) -> None:
        with self.work() as work:
            made = os.path.join(work, "note")
            with open(made, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), _MODE)
                file.write(text)
            os.replace(made, path)

    def _checked(self, digest: str) -> str:
        return self.path(digest).removesuffix(".erofs") + ".checked"

    def _note_path(self, manifest: str) -> str:
        return os.path.join(self.directory, f"sha256-{manifest.removeprefix('sha256:')}.image")

    def _when(self, digest: str, status: os.stat_result) -> float | None:
        """Tell when the root with DIGEST was checked as it is now, by STATUS; None: it was not."""
        said, when = believed(self._checked(digest))
        return when if said == record(status) and not doubted(status) else None

    @contextmanager
    def work(self) -> Iterator[str]:
        """A directory for what is not whole yet, which is gone behind the block, also when a signal
        ends it. Raises Unusable."""
        with self.told():
            path, descriptor = self._new_work()

        def remove() -> None:
            remove_tree(path)
            os.close(descriptor)

        with Cleaned(remove):
            yield path

    def _new_work(self) -> tuple[str, int]:
        while True:
            path = os.path.join(os.path.abspath(self.directory), f"{_WORK}{os.urandom(6).hex()}")
            os.mkdir(path, 0o700)
            with suppress(FileNotFoundError):  # another pull took it for one that is left
                descriptor = os.open(path, _DIRECTORY)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.path.exists(path):
                    return path, descriptor
                os.close(descriptor)

    def sweep(self) -> None:
        """Remove what pulls that are gone left there. Raises Unusable."""
        with self.told(), suppress(FileNotFoundError):
            self._sweep()

    def _sweep(self) -> None:
        for name in os.listdir(self.directory):
            if not name.startswith(_WORK):
                continue
            path = os.path.join(self.directory, name)
            with suppress(OSError):  # it lives, or is another user's
                descriptor = os.open(path, _DIRECTORY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_tree(path)
                finally:
                    os.close(descriptor)

    def roots(self) -> list[Root]:
        """Return the roots that are there, in the order of their digests. Raises Unusable."""
        found = []
        with self.told():
            try:
                names = sorted(os.listdir(self.directory))
            except FileNotFoundError:
                return []
            for name in names:
                if (match := _ROOT.fullmatch(name)) is None:
                    continue
                digest = f"sha256:{match[1]}"
                with suppress(FileNotFoundError):
                    status = os.lstat(os.path.join(self.directory, name))
                    found.append(Root(digest, status.st_size, self._when(digest, status)))
        return found

    def is_free(self, digest: str) -> bool:
        """Tell whether no VM has the root with DIGEST. Raises Unusable."""
        with self.told(), self._held(digest) as is_held:
            return is_held

    def remove(self, digest: str) -> bool:
        """Remove the root with DIGEST, unless a VM has it; tell whether it is gone. Raises
        Unusable."""
        with self.told(), self._held(digest) as is_held:
            if is_held:
                os.unlink(self.path(digest))
                with suppress(FileNotFoundError):
                    os.unlink(self._checked(digest))
            return is_held

    @contextmanager
    def _held(self, digest: str) -> Iterator[bool]:
        """Lock the root with DIGEST; whether that can be: the launcher holds a shared lock on each
        disk that a guest only reads."""
        if not S_ISREG(os.lstat(self.path(digest)).st_mode):
            yield True  # no VM was started from it
            return
        descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)

    def manifests(self) -> list[str]:
        """Return the manifests of which there are notes. Raises Unusable."""
        with self.told(), suppress(FileNotFoundError):
            found = map(_NOTE.fullmatch, sorted(os.listdir(self.directory)))
            return [f"sha256:{match[1]}" for match in found if match is not None]
        return []

    def forget(self, manifest: str) -> None:
        """Remove the note of the image with the digest MANIFEST. Raises Unusable."""
        with self.told(), suppress(FileNotFoundError):
            os.unlink(self._note_path(manifest))


def default() -> Store:
    """Return the store that the environment tells."""
    given = os.environ.get("KRUNC_STORE")
    if given:
        return Store(given)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    data = data if data.startswith("/") else os.path.expanduser("~/.local/share")
    return Store(os.path.join(data, "krunc", "store"))


def _refused(path: str, said: str, hint: str) -> Unusable:
    return Unusable("KR714", f"the store cannot be used: {path}: {said}", hint)
