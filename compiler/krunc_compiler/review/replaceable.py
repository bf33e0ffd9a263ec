"""What a plan names below a directory that its guest may write: the guest can put something else
there, which the next launch then opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from krunc_compiler.files.hostpath import UPS, lying_in, normal
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.words import word


def replaceable(operations: Sequence[Ordered]) -> Iterator[Fact]:
    """Yield a fact for each path that the guest can replace, and one where the plan is such."""
    written = {
        normal(path): (path, index)
        for index, row in reversed(list(enumerate(operations)))
        for path, writes in row.opens
        if writes
    }
    for up in UPS:
        if up in written:
            path, index = written[up]
            text = f"this plan, for it can write to {word(path)}"
            reach = frozenset({Reach("replace", "plan", up)})
            origin = operations[index]["from"]
            yield Fact("replace", ("replace", "plan", up), text, origin, index, reach)
    seen = set()
    for index, row in enumerate(operations if written else ()):
        for path, _ in row.opens:
            above = next((written[one] for one in lying_in(path) if one in written), None)
            if above is None or normal(path) in seen:
                continue
            seen.add(normal(path))
            text = f"{word(path)}, for it can write to {word(above[0])}"
            reach = frozenset({Reach("replace", "path", normal(path))})
            yield Fact("replace", ("replace", normal(path)), text, row["from"], index, reach)
