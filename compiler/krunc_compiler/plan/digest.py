"""The digest of a plan's meaning: what was approved is what runs.

It is SHA-256 over the plan's JSON value, of which three things are left out because nothing of
them is executed: `box_digest`, `requires.because`, and the `from` of each operation. The
value is written as ASCII JSON without blanks, keys sorted by code point, every other character as
\\uXXXX (two of them beyond the first plane), `"` and `\\` as \\" and \\\\, and the five short
escapes \\b \\f \\n \\r \\t. docs/review.md says the same; tests/digest_vectors.json has examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.plan.ordered import Ordered, text_of, without


def digest(plan: dict[str, Any]) -> str:
    """sha256: and 64 hexadecimal digits for PLAN, the JSON value of a valid plan."""
    return "sha256:" + hexdigest(canonical(plan).encode("ascii"))


def canonical(plan: dict[str, Any]) -> str:
    """Tell what of PLAN is hashed."""
    texts = {
        **{key: text_of(value) for key, value in plan.items() if key not in _OTHERS},
        "requires": text_of(without(plan["requires"], "because")),
        "operations": _rows(plan["operations"]),
    }
    return f"{{{','.join(f'{text_of(key)}:{texts[key]}' for key in sorted(texts))}}}"


_OTHERS = ("box_digest", "requires", "operations")


def _rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return the text of ROWS; of those that stand in many plans each has its own already."""
    if all(isinstance(row, Ordered) for row in rows):
        return f"[{','.join(row.meaning for row in rows if isinstance(row, Ordered))}]"
    return text_of([without(row, "from") for row in rows])
