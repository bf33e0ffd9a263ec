"""The orders of a plan as the stage reads them."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.resolve.operation import Named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.resolve.operation import Operation


def encoded(done: list[Operation]) -> bytes:
    """Return the file of the orders in DONE: strings that end in NUL, an order's name and then the
    value of each parameter; a list is the number of its items and each of them."""
    words: list[str] = []
    for operation in done:
        if operation.kind != "order":
            continue
        words.append(operation.name)
        for value in operation.values:
            if type(value) is list:
                words.append(str(len(value)))
                words += [
                    item if type(item) is str else f"{item.name}={item.text}" for item in value
                ]
            elif isinstance(value, Named):
                words.append(value.c)
            else:
                words.append("" if value is None else str(value))
    return system.fsencode("\0".join([*words, ""]))
