"""Manifests in layouts and archives of this host, which skopeo shows only the outermost of.

The layout is that of the OCI image layout specification 1.1: a directory, or a tar of it, with each
blob under its digest.
"""

from __future__ import annotations

import os
import tarfile
import zlib

from krunc_compiler.files.contents import contents
from krunc_compiler.findings.wording import why
from krunc_compiler.image.manifest import MAX_MANIFEST, digest_of, refused
from krunc_compiler.image.reference import Reference


def inner_manifest(reference: Reference, home: str, digest: str) -> bytes:
    """Return the manifest with DIGEST in the layout or archive of REFERENCE, of a box in HOME.
    Raises Unusable."""
    path = os.path.join(home, reference.path)
    name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
    try:
        if reference.transport == "oci":
            raw = contents(os.path.join(path, name), MAX_MANIFEST + 1)
        else:
            raw = _member(path, name)
    except OSError as error:
        raise refused(f"its manifest {digest} cannot be read: {why(error)}") from None
    if digest_of(raw) != digest:
        raise refused(f"the blob {name} has {digest_of(raw)}")
    return raw


def _member(path: str, name: str) -> bytes:
    """Return the start of the file NAME in the tar at PATH; empty when there is none."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isreg() and os.path.normpath(member.name) == name:
                    file = archive.extractfile(member)
                    return file.read(MAX_MANIFEST + 1) if file is not None else b""
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise refused(f"the archive cannot be read: {error}") from None
    return b""
