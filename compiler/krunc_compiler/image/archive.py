"""Roots in a tar, for hosts that reach no registry: what locks name, checked by the locks there."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Mapping
from functools import partial
from stat import S_IFREG
from typing import BinaryIO

from krunc_compiler.files.sha256 import for_many, running
from krunc_compiler.image.limits import LIMITS
from krunc_compiler.image.lock import LockedRoot
from krunc_compiler.image.refusal import Refusal
from krunc_compiler.image.store import Store
from krunc_compiler.image.stream import Stream
from krunc_compiler.image.tar import entries
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
    names = {os.path.basename(store.path(digest)).encode(): root for digest, root in roots.items()}
    taken = []
    stream = Stream(iter(partial(file.read, _PIECE), b""))
    try:
        for entry in entries(stream, LIMITS):
            root = names.get(entry.name)
            if root is None or store.has(root.digest, root.size):
                stream.skip(entry.stored)
                continue
            if entry.kind != S_IFREG or entry.pieces is not None or entry.size != root.size:
                said = f"{root.digest} has {entry.size:,} bytes; the lock says {root.size:,}"
                raise _refused(said)
            store.roomy(root.size)
            with store.told():
                _take(stream.portions(root.size), root, store)
            taken.append(root.digest)
    except Refusal as refusal:
        raise _refused(f"it is not a tar of roots: {refusal}") from None
    return taken


def _take(pieces: Iterable[bytes], root: LockedRoot, store: Store) -> None:
    """Put PIECES into the place of ROOT, when they are that. Raises Unusable and OSError."""
    for_many()
    digest = running()
    with store.work() as work:
        made = os.path.join(work, "root")
        with open(made, "wb") as out:
            for data in pieces:
                digest.update(data)
                out.write(data)
        if f"sha256:{digest.hexdigest()}" != root.digest:
            raise _refused(f"{root.digest} has sha256:{digest.hexdigest()}")
        store.keep(made, root.digest)


def _refused(said: str) -> Unusable:
    hint = "krunc pull --export writes what --import reads"
    return Unusable("KR715", f"the archive is refused: {said}", hint)
