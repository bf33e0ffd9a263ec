"""Where a console or a log goes: a stream of the launcher, a file, or a descriptor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.box.box import Box
from krunc_compiler.box.consoles import Descriptor, Endpoint, File
from krunc_compiler.findings.finding import Path
from krunc_compiler.plan.operation import Operation


def opening(end: Endpoint, name: str, place: Path, box: Box) -> Iterator[Operation]:
    """Yield the step that opens a file under NAME; nothing for what is open already."""
    if isinstance(end, File):
        args = {"path": end.path, "name": name}
        yield Operation("step", "open_file", box.origin(*place), args, places={"path": place})


def value(end: Endpoint, name: str) -> Any:
    """Return the argument for END: a name of the table, a number, or what was opened under NAME."""
    match end:
        case File():
            return {"opened": name}
        case Descriptor(fd):
            return fd
        case _:
            return end
