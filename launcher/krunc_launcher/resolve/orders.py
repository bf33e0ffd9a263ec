"""The orders of a plan as the stage reads them."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.resolve.operation import Named, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.resolve.operation import Operation


def encoded(done: list[Operation]) -> bytes:
    """Return the file of the orders in DONE: strings that end in NUL, an order's name and then the
    value of each parameter; a list is the number of its items and each of them."""
    words: list[str] = []
    for operation in done:
        if operation.kind == "order":
            words.append(operation.name)
            for value in operation.values:
                words += _words(value)
    return system.fsencode("\0".join([*words, ""]))


def _words(value: Any) -> list[str]:
    if isinstance(value, Named):
        return [value.c]
    if isinstance(value, list):
        return [str(len(value)), *map(_item, value)]
    return ["" if value is None else str(value)]


def _item(item: str | Variable) -> str:
    return f"{item.name}={item.text}" if isinstance(item, Variable) else item
