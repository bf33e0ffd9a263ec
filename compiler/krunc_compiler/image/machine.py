"""For which processors the program of an image is. What its config says of them is only a label."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.image.root import Root
from krunc_compiler.image.run_config import Run

# What else tells the processors where the image names no program.
_SHELL = "/bin/sh"
_MOST = 1 << 16  # of a file; where it names its loader or interpreter
_MOST_STEPS = 8  # from a script to its interpreter, and from a program to its loader
_SCRIPT = re.compile(rb"#![ \t]*(/[^ \t\n\0]+)")
_INTERPRETER = 3  # PT_INTERP of elf(5)


def for_others(root: Root, run: Run, platform: str) -> tuple[str, int] | None:
    """Return the file of ROOT that is for another machine than PLATFORM's, and ELF's number of that
    machine: the program of RUN, or else the shell, or what starts them; None where none is."""
    able = next(row["elf"] for row in api.architectures().values() if row["platform"] == platform)
    for path in _programs(root, run):
        for name, machine in _machines(root, path):
            if machine not in able:
                return name, machine
    return None


def named(machine: int) -> str:
    """Return the architecture whose programs have this number in ELF, as boxes name it."""
    rows = api.architectures().items()
    found = next((name for name, row in rows if machine in row["elf"]), None)
    return f"the ELF machine {machine}" if found is None else found


def _programs(root: Root, run: Run) -> Iterator[str]:
    """Yield the program that RUN names, where ROOT has it, or else the shell."""
    words = run.words(None, None)
    name = words[0] if words else ""
    variable = run.variables().get("PATH", load("orders")["search"])
    search = variable.split(":") if "/" not in name else [""]
    for directory in search if name else ():
        path = posixpath.join(run.working_dir or "/", directory, name)
        if root.start(path, 1) is not None:
            yield path
            return
    yield _SHELL


def _machines(root: Root, path: str) -> Iterator[tuple[str, int]]:
    """Yield each ELF file that takes part in starting PATH, and its machine."""
    for _ in range(_MOST_STEPS):
        head = root.start(path, _MOST) or b""
        script = _SCRIPT.match(head[:256])
        if script is not None:
            path = script[1].decode("utf-8", "surrogateescape")
            continue
        if not head.startswith(b"\x7fELF") or len(head) < 64:
            return
        little = head[5] == 1
        yield path, int.from_bytes(head[18:20], "little" if little else "big")
        path = _loader(head) if little and head[4] == 2 else ""
        if not path:
            return


def _loader(head: bytes) -> str:
    """Return the loader that a program of 64 bits names; empty where it names none."""

    def number(at: int, width: int) -> int:
        return int.from_bytes(head[at : at + width], "little")

    start, size, count = number(32, 8), number(54, 2), number(56, 2)
    for at in range(start, min(start + size * count, len(head)), size or 1):
        if number(at, 4) == _INTERPRETER:
            name = head[number(at + 8, 8) :][: number(at + 32, 8)].partition(b"\0")[0]
            return name.decode("utf-8", "surrogateescape")
    return ""
