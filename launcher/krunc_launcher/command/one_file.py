"""Which names of VMs are those of one file on some file system, or are read as one."""

from __future__ import annotations


def one_file(name: str) -> str:
    """Return what NAME has in common with all names of which macOS, or a directory of another
    system's, makes one file, or a reader: the rule of krunc_compiler.files.one_file, as a test
    compares."""
    if name.isascii() and name.isprintable():
        return name.lower()
    from krunc_launcher._look_alikes import alike  # few names need it

    return alike(name)
