"""Writes docs/libkrun.md from the API table: python docs/generate_libkrun.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from krunc_schema import load

PAGE = Path(__file__).parent / "libkrun.md"
_HEAD = """\
# libkrun's functions and the keys of a box

Made from `schema/krunc_schema/krun.json` by `docs/generate_libkrun.py`; do not edit. `since` and
`until` are libkrun versions. In the last column, 1 is libkrun 1.x and 2 is libkrun 2, the 2.0-dev
with the flat C API. The plan of a box uses the oldest function that says exactly what the box says,
and `krunc show` names the version that comes of it. At launch each function is looked up in the
library itself: a distribution's build can be without one, and a newer one can have more.

| function | box key | since | until | family |
| --- | --- | --- | --- | --- |
"""
_UNREACHED = """
## Functions that no key reaches

| function | why |
| --- | --- |
"""


def page() -> str:
    """The text of the page."""
    rows = load("krun")["functions"]
    reached = "".join(_reached(name, row) for name, row in rows.items() if "keys" in row)
    rest = "".join(
        f"| `{name}` | {row['unreached']} |\n" for name, row in rows.items() if "unreached" in row
    )
    return _HEAD + reached + _UNREACHED + rest


def _reached(name: str, row: dict[str, Any]) -> str:
    keys = ", ".join("every box" if key == "krunc" else f"`{key}`" for key in row["keys"])
    return f"| `{name}` | {keys} | {row['since']} | {row.get('removed', '-')} | {_family(row)} |\n"


def _family(row: dict[str, Any]) -> str:
    if "vendor" in row:
        return f"2, {row['vendor']} only"
    return "1" if "removed" in row else "1, 2"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
