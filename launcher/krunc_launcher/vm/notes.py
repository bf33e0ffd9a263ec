"""What the VM's process tells the process above it: what it is about to do."""

from __future__ import annotations

from krunc_launcher import system

# The process above reads them at the end, and a pipe is soon full.
_MOST = 4096


class Notes:
    """The writing end of a pipe."""

    __slots__ = ("pipe",)

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def note(self, word: str) -> None:
        """Tell what this process is about to do."""
        system.write(self.pipe, system.fsencode(word)[:_MOST] + b"\0")
