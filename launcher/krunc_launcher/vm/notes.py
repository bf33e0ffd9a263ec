"""What the VM's process tells the process above it: what it is about to do."""

from __future__ import annotations

from krunc_launcher import system

# The process above counts on that (Vm.heed).
_MOST = 4352  # a path has 4095, and numbers stand before it


def note(pipe: int, word: str) -> None:
    """Tell by WORD, into the writing end PIPE, what this process is about to do."""
    system.write(pipe, system.fsencode(word)[:_MOST] + b"\0")
