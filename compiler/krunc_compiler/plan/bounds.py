"""How large a plan may be: what its readers take, the launcher and the review alike.

The numbers are the launcher's, in the limits of libkrun's API table. A plan that is written was
held against them, so each can be read.
"""

from __future__ import annotations

from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.plan.operation import Operation

_WAYS_OUT = {
    "bytes": "put what is long into a file of the root or of a share",
    "operations": "write fewer of them into one box",
    "values": "write fewer of them into one box",
}


def most(what: str) -> int:
    """Tell how many bytes, operations, values or levels a plan may have."""
    return int(api.table()["limits"][f"plan_{what}"])


def characters(value: Any) -> int:
    """Count the characters in VALUE, a value of YAML; what stands in it twice counts twice."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(len, value)) + sum(map(characters, value.values()))
    return sum(map(characters, value)) if isinstance(value, list) else 1


def count(value: Any) -> int:
    """Count the values in VALUE, itself and the keys of its maps among them."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


def too_many(value: Any, text: str) -> bool:
    """Tell whether the plan TEXT, of this VALUE, has more values than a plan may have. Each takes
    two characters or more, so few texts need counting."""
    return len(text) > 2 * most("values") and count(value) > most("values")


def overweight(value: Any) -> list[Finding]:
    """Find whether the box VALUE has more characters than any plan."""
    total = characters(value)
    if total <= most("bytes"):
        return []
    path: Path = ()
    while isinstance(value, dict | list) and value:
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        key, item = max(items, key=lambda pair: characters(pair[1]))
        if path and characters(item) <= most("bytes"):
            break  # the items are too many, and none of them alone too long
        path, value = (*path, key), item
    return [_too_large("bytes", total, path)]


def exceeded(operations: list[Operation], text: str) -> list[Finding]:
    """Find what of the plan TEXT, which has OPERATIONS, its readers do not take."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        message = "a string or a path from the plan to the box is not UTF-8, which a plan is"
        hint = "rename the directory, or write the plan beside its box"
        return [Finding("KR002", message, hint=hint)]
    counts = {
        "bytes": size,
        "operations": len(operations),
        # A value takes two characters or more, so few texts need counting.
        "values": sum(map(_values, operations)) if len(text) > 2 * most("values") else 0,
    }
    return [
        _too_large(what, number, _heaviest(operations, what))
        for what, number in counts.items()
        if number > most(what)
    ]


def _too_large(what: str, number: int, path: Path) -> Finding:
    message = f"a plan of this would have {number:,} {what}; it can have {most(what):,}"
    return Finding("KR220", message, path, hint=_WAYS_OUT[what], at_key=True)


def _heaviest(operations: list[Operation], what: str) -> Path:
    """Return the key of the box from which most of WHAT comes."""
    weights: dict[Path, int] = {}
    for operation in operations:
        if what == "bytes":
            for name, value in operation.args.items():
                key = operation.place(name) or operation.origin
                weights[key] = max(weights.get(key, 0), characters(value))
        else:
            key = operation.origin[:1]
            more = _values(operation) if what == "values" else 1
            weights[key] = weights.get(key, 0) + more
    return max(weights, key=weights.__getitem__, default=())


def _values(operation: Operation) -> int:
    # The row, and its keys with their values: the kind, args, on_failure, from.
    return 8 + count(dict(operation.args))
