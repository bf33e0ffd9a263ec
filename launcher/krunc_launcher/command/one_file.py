"""Which names of VMs are those of one file on some file system."""

from __future__ import annotations


def one_file(name: str) -> str:
    """Return what NAME has in common with all names of which macOS, or a directory of another
    system's, makes one file: the rule of krunc_compiler.files.one_file, as a test compares."""
    if name.isascii():
        return name.lower()
    from unicodedata import normalize  # few names need it

    return normalize("NFC", normalize("NFC", name).casefold())


def difference(one: str, other: str) -> str:
    """Tell what file systems make no difference of, between two names that are one file there."""
    if one == other:
        return ""
    if one.casefold() == other.casefold():
        return " where upper and lower case are one"
    return " where accents can be written in two ways"
