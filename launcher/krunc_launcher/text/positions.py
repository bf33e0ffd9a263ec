"""Where a value stands in a plan's text; only asked when something is wrong with it."""

from __future__ import annotations

from krunc_launcher.text.json_errors import offset_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.plan.text import Path


def position(text: str, path: Path) -> tuple[int, int]:
    """Return line and column, from 1, of the value at PATH in TEXT, or of the nearest above it."""
    return place(text, offset_of(text, path))


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of OFFSET in TEXT."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
