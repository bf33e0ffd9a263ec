"""ELF files that are programs as far as their headers tell."""

from __future__ import annotations

import struct


def elf(machine: int, loader: str = "", order: str = "<", where: int = 0) -> bytes:
    """A program for MACHINE, as far as its header tells, with the name of a LOADER at WHERE."""
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01".ljust(10, b"\0")
    head = struct.pack(
        f"{order}HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 2 if loader else 1, 0, 0, 0
    )
    name = loader.encode() + b"\0"
    where = where or 64 + 2 * 56
    load = struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 0)
    interp = struct.pack(f"{order}IIQQQQQQ", 3, 4, where, 0, 0, len(name), len(name), 1)
    table = load + interp if loader else load
    return (ident + head + table).ljust(where, b"\0") + (name if loader else b"")


def elf32(machine: int, loader: str = "") -> bytes:
    """The same of 32 bits."""
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    count = 2 if loader else 1
    head = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, count, 0, 0, 0)
    name, where = loader.encode() + b"\0", 52 + 2 * 32
    load = struct.pack("<IIIIIIII", 1, 0, 0, 0, 0, 0, 5, 0)
    interp = struct.pack("<IIIIIIII", 3, where, 0, 0, len(name), len(name), 4, 1)
    return ident + head + load + (interp + name if loader else b"")
