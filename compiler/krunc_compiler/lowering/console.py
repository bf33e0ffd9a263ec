"""The guest's console: the launcher's stdio, or a file."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.api import Target
from krunc_compiler.box import Box
from krunc_compiler.findings import Path
from krunc_compiler.operation import Operation

_FILE = "console"


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """Family 1 has a console on stdio by itself; family 2 has none that is not added."""
    output = box.console_output
    origin = box.origin("console", "output")
    if target.family == 1:
        if output is not None:
            yield Operation(
                "call",
                "krun_set_console_output",
                origin,
                {"filepath": output},
                places={"filepath": ("console", "output")},
            )
        return
    if output is None:
        yield _default((), "stdin", "stdout", "stderr")
        return
    yield Operation(
        "step",
        "open_file",
        origin,
        {"path": output, "name": _FILE},
        places={"path": ("console", "output")},
    )
    yield _default(origin, "none", {"opened": _FILE}, {"opened": _FILE})


def _default(origin: Path, source: object, output: object, error: object) -> Operation:
    return Operation(
        "call",
        "krun_add_virtio_console_default",
        origin,
        {"input_fd": source, "output_fd": output, "err_fd": error},
    )
