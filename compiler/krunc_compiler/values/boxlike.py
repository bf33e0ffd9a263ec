"""Whether a text that a box extends is a box, or a part of one. Of what is none, nothing is shown:
the box may be a stranger's, and name any file."""

from __future__ import annotations

import re
from typing import Any

from krunc_schema import load

# What the keys of a box start with that say nothing.
IGNORED = "x-"
_PLAIN = r"""(?m)^\ufeff?(?:krunc|"krunc"|'krunc')[ \t]*:[ \t]+1[ \t]*$"""


def is_like_box(value: Any) -> bool:
    """Tell whether VALUE has the key of a box, or no other keys than a box has."""
    if not isinstance(value, dict):
        return False
    known = load("box.schema")["properties"]
    return "krunc" in value or all(key in known or key.startswith(IGNORED) for key in value)


def looks_like_box(text: str) -> bool:
    """Tell whether TEXT, which is not YAML, has the line of a box."""
    return re.search(_PLAIN, text) is not None
