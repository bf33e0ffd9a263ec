"""What a plan asks of this machine's architecture where not every one has it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rare_rules import ARCHITECTURES
from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings


def here() -> dict[str, Any]:
    """Return the row of this machine's architecture; an empty one where it is none of libkrun's."""
    machine = system.uname().machine
    for row in ARCHITECTURES.values():
        if machine in row["machines"]:
            found: dict[str, Any] = row
            return found
    return {}


def unfit(devices: int, size: int, last: int, found: Findings) -> None:
    """Append to FOUND that here a machine has no room for so many DEVICES, or its kernel for a
    command line of SIZE bytes without them, which the operation LAST makes the longest."""
    row = here()
    if not row:
        return
    machine = plain(system.uname().machine)
    most = row["virtio_devices"]
    if devices > most:
        sentence = (
            f"{devices} virtio devices, libkrun's own among them; a machine has room for {most} "
            f"on {machine}"
        )
        found.append((("operations",), sentence))
    size, most = size + devices * row["device_bytes"], row["cmdline_bytes"]
    if size > most:
        sentence = f"about {size} bytes for the guest kernel's command line, which holds {most}"
        found.append((("operations", last), sentence))
