"""Whether what is used before a box is checked as a whole fits the box's schema.

`vars`, `matrix` and `extends` say what the rest of a box means, so they are read first. What does
not fit is not used: its type is not known, and the check of the whole box tells what is wrong.
"""

from __future__ import annotations

from typing import Any

from krunc_schema import load

from krunc_compiler.shape.fast_checking import acceptor


def fits(value: Any, key: str) -> bool:
    """Tell whether VALUE may stand under KEY of a box."""
    schema = load("box.schema")
    return acceptor(schema).part(schema["properties"][key])(value)
