"""Roots in a tar, for hosts that reach no registry: what locks name, checked by the locks there."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import IO, BinaryIO

from krunc_compiler.files.sha256 import for_many, running
from krunc_compiler.image.lock import LockedRoot
from krunc_compiler.image.store import Store
from krunc_compiler.image.unusable import Unusable

_PIECE = 1 << 20


def export(roots: Iterable[LockedRoot], store: Store, out: BinaryIO) -> None:
    """Write ROOTS, which are in STORE, to OUT: the same bytes wherever. Raises OSError."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for root in sorted(roots):
            path = store.path(root.digest)
            member = tarfile.TarInfo(os.path.basename(path))
            member.size, member.mode = root.size, 0o444
            with open(path, "rb") as file:
                archive.addfile(member, file)


def take(file: BinaryIO, roots: Mapping[str, LockedRoot], store: Store) -> list[str]:
    """Put those of ROOTS that are in the tar FILE into STORE; return the digests of those that were
    put there. Raises Unusable when FILE is no such tar, or one of them is not what its name
    says."""
    names = {os.path.basename(store.path(digest)): root for digest, root in roots.items()}
    taken = []
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                root = names.get(member.name)
                if root is None or store.has(root.digest, root.size):
                    continue
                if not member.isreg() or member.size != root.size:
                    said = f"{member.name} has {member.size:,} bytes; the lock says {root.size:,}"
                    raise _refused(said)
                source = archive.extractfile(member)
                assert source is not None  # it is a regular file
                with store.told():
                    _take(source, root, store)
                taken.append(root.digest)
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _refused(f"it is no tar of roots: {error}") from None
    return taken


def _take(source: IO[bytes], root: LockedRoot, store: Store) -> None:
    """Put what SOURCE has into the place of ROOT, when it is that. Raises Unusable and OSError."""
    for_many()
    digest = running()
    with store.work() as work:
        made = os.path.join(work, "root")
        with open(made, "wb") as out:
            while data := source.read(_PIECE):
                digest.update(data)
                out.write(data)
        if f"sha256:{digest.hexdigest()}" != root.digest:
            raise _refused(f"{root.digest} has sha256:{digest.hexdigest()}")
        store.keep(made, root.digest)


def _refused(said: str) -> Unusable:
    hint = "krunc pull --export writes what --import reads"
    return Unusable("KR715", f"the archive is refused: {said}", hint)
