"""One file, several boxes: the rows of a box's matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import islice, product
from typing import Any

from krunc_compiler.findings.finding import Finding
from krunc_compiler.values.fitting import fits

# Far above any real fleet of one file; it bounds time for hostile boxes.
MAX_BOXES = 1_000
MAX_TEXT = 1 << 26
_MAX_EXPRESSIONS = 100_000
_MAX_VALUES = 150_000
# With more than this, what is wrong with further boxes is not looked for.
MOST_FINDINGS = 2_000


def rows(matrix: Any, declared: Collection[str]) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return the variables of each box that a file makes; one row without any when it has no
    MATRIX.

    A map of lists makes every combination, in the order of the file; a list of maps is the rows
    themselves. A MATRIX that does not fit the schema makes no other box. DECLARED are the names
    under vars.
    """
    if not fits(matrix, "matrix"):
        return [{}], []
    if isinstance(matrix, dict):
        columns = {name: _values(column) for name, column in matrix.items()}
        empty = [_backwards(name) for name, column in columns.items() if not column]
        if empty:
            return [{}], empty
        combined = product(*columns.values())
        found = [dict(zip(columns, row, strict=True)) for row in islice(combined, MAX_BOXES + 1)]
    else:
        found = matrix[: MAX_BOXES + 1]
    findings = []
    if len(found) > MAX_BOXES:
        found = found[:1]
        findings.append(
            Finding(
                "KR024",
                f"this makes more than {MAX_BOXES:,} boxes",
                ("matrix",),
                hint="use several files that extend one",
                at_key=True,
            )
        )
    for name in dict.fromkeys(name for row in found for name in row):
        if name in declared:
            findings.append(
                Finding(
                    "KR024",
                    f"{name!r} is a variable under vars too",
                    ("matrix", name) if isinstance(matrix, dict) else ("matrix",),
                    hint="keep it in one of them",
                    at_key=True,
                )
            )
    return found, findings


def too_large(boxes: int, values: int, expressions: int) -> list[Finding]:
    """Return a finding when so many BOXES of so many VALUES and EXPRESSIONS are more than a
    compilation bears."""
    hint = "make fewer boxes of one file, or move what they share into a script or a directory"
    return [
        Finding(
            "KR024",
            f"{boxes:,} boxes of {number:,} {what} make more than {most:,}",
            ("matrix",),
            hint=hint,
            at_key=True,
        )
        for number, what, most in (
            (values, "values", _MAX_VALUES),
            (expressions, "expressions", _MAX_EXPRESSIONS),
        )
        if boxes > 1 and boxes * number > most
    ]


def too_long() -> Finding:
    """Return the finding about plans of one file that are together longer than MAX_TEXT."""
    message = f"the plans of this matrix have more than {MAX_TEXT:,} characters together"
    hint = "make fewer boxes of one file, or put what is long into a file of the root or of a share"
    return Finding("KR024", message, ("matrix",), hint=hint, at_key=True)


def not_seen(boxes: int, left: int) -> Finding:
    """Return the finding that LEFT of so many BOXES were not looked at."""
    message = (
        f"{left:,} of {boxes:,} boxes were not looked at, since so much is wrong in the others"
    )
    return Finding("KR024", message, ("matrix",), hint="fix what is reported first", at_key=True)


def _values(column: list[Any] | dict[str, int]) -> list[Any]:
    if isinstance(column, list):
        return column
    return list(islice(range(column["from"], column["to"] + 1), MAX_BOXES + 1))


def names(matrix: Any) -> set[str]:
    """Return the names of the variables that MATRIX, of any type, may be meant to have."""
    rows = matrix if isinstance(matrix, list) else [matrix]
    return {name for row in rows if isinstance(row, dict) for name in row}


def _backwards(name: str) -> Finding:
    return Finding(
        "KR024",
        "this range has no numbers",
        ("matrix", name),
        hint="write a from that is at most to",
    )


def told_once(rows: list[list[Finding]], names: list[Any]) -> list[Finding]:
    """Return the findings about the boxes with NAMES: for each place in the file those of one
    box."""
    kept: dict[tuple[Any, ...], list[tuple[Finding, Any]]] = {}
    for found, name in zip(rows, names, strict=True):
        places: Counter[tuple[Any, ...]] = Counter()
        for finding in dict.fromkeys(found):
            place = (finding.code, finding.path, finding.at_key)
            kept.setdefault((*place, places[place]), []).append((finding, name))
            places[place] += 1
    result = []
    for alike in kept.values():
        (finding, name), others = alike[0], len(alike) - 1
        if others + 1 < len(rows) or any(other != finding for other, _ in alike):
            more = f" and alike in {others} more" if others else ""
            finding = finding._replace(message=f"{finding.message} (in the box {name}{more})")
        result.append(finding)
    return result


def same_names(names: list[Any]) -> list[Finding]:
    """Return a finding when two boxes of a matrix have one of NAMES."""
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            return [
                Finding(
                    "KR024",
                    f"two boxes of the matrix have the name {name!r}",
                    ("name",),
                    hint="use the matrix in the name, as in name: web-{{ n }}",
                )
            ]
        seen.add(name)
    return []
