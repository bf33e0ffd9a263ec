"""The digest of a plan's meaning: what was approved is what runs.

It is SHA-256 over the plan's JSON value, of which three things are left out because nothing of
them is executed: `box_digest`, `requires.because`, and the `from` of each operation. The
value is written as ASCII JSON without blanks, keys sorted by code point, every other character as
\\uXXXX (two of them beyond the first plane), `"` and `\\` as \\" and \\\\, and the five short
escapes \\b \\f \\n \\r \\t. docs/review.md says the same; tests/digest_vectors.json has examples.
"""

from __future__ import annotations

import json
from typing import Any

from krunc_compiler.files.sha256 import hexdigest


def digest(plan: dict[str, Any]) -> str:
    """sha256: and 64 hexadecimal digits for PLAN, the JSON value of a valid plan."""
    return "sha256:" + hexdigest(canonical(plan).encode("ascii"))


def canonical(plan: dict[str, Any]) -> str:
    """Tell what of PLAN is hashed."""
    return json.dumps(meaning(plan), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def meaning(plan: dict[str, Any]) -> dict[str, Any]:
    """Return PLAN without what nothing is done with."""
    return {
        **_without(plan, "box_digest"),
        "requires": _without(plan["requires"], "because"),
        "operations": [_without(row, "from") for row in plan["operations"]],
    }


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}
