"""Which names are those of one file on some file system."""

from __future__ import annotations

import os


def one_file(path: str) -> str:
    """Return what PATH has in common with all names that a file system may take for the same one:
    macOS's and Windows' do not tell upper from lower case, nor how an accent is written. A
    repository is cloned on any."""
    path = os.path.normpath(path)
    if path.isascii():
        return path.lower()
    from unicodedata import normalize  # few names need it

    return normalize("NFC", normalize("NFC", path).casefold())
