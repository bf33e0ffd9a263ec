"""JSON Schema's regular expressions, which are JavaScript's, as Python reads them."""

from __future__ import annotations

import re

# Python's $ also stands before a line feed that ends a text; JavaScript's only at the end.
_PARTS = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


def of_python(pattern: str) -> str:
    """Return PATTERN with the meaning that it has in a JSON Schema."""
    return _PARTS.sub(lambda part: r"\Z" if part[0] == "$" else part[0], pattern)
