"""What the VM's process tells the process above it: what it is about to do, and which file the
guest's program is."""

from __future__ import annotations

import os

from krunc_launcher._krun import libc

_IN_OPEN = 0x20  # sys/inotify.h


class Notes:
    """The writing end of a pipe, and the inotify descriptor that both processes share, -1 where
    there is none."""

    __slots__ = ("marks", "pipe")

    def __init__(self, pipe: int, marks: int) -> None:
        self.pipe = pipe
        self.marks = marks

    def note(self, word: str) -> None:
        """Tell what this process is about to do."""
        os.write(self.pipe, os.fsencode(f"{word}\0"))

    def mark(self, program: str) -> None:
        """Let the kernel tell when libkrun opens the file PROGRAM: then the guest has started."""
        name = os.fsencode(program)
        if self.marks >= 0 and libc.inotify_add_watch(self.marks, name, _IN_OPEN) >= 0:
            self.note("marked")
