"""What a descriptor of a plan leads to."""

from __future__ import annotations

from typing import Any

from krunc_compiler.review.fact import Row
from krunc_compiler.review.words import word

# What a device leads to that is told where it is started.
PASST = "the passt that the launcher starts"


def stream(row: Row, descriptor: Any) -> str:
    """Return the stream of the launcher, the opened file, or the number that is inherited."""
    if isinstance(descriptor, dict):
        name = str(descriptor.get("opened"))
        return row.opened.get(name, f"{word(name)}, which nothing opens")
    if isinstance(descriptor, str):
        return f"the launcher's {word(descriptor)}"
    return f"the inherited file descriptor {descriptor}"
