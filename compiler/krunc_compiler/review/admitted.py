"""What a confined VMM may open though no call of the plan uses it.

The confinement takes its rules from the demands: what a plan demands of the host before the start,
its VMM can open. An honest plan demands what its calls use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.facts.storage import same
from krunc_compiler.review.words import word

_DEMANDS = {"require_directory": "directory", "require_file": "file"}


def admitted(operations: Sequence[dict[str, Any]], facts: list[Fact]) -> Iterator[Fact]:
    """Yield a fact for each demand of a confined plan that goes beyond what FACTS reach."""
    if all(row.get("step") != "confine" for row in operations):
        return  # then the VMM can open whatever the launching user can
    used = {(reach.verb, reach.target) for fact in facts for reach in fact.reach}
    for index, row in enumerate(operations):
        noun = _DEMANDS.get(row.get("step", ""))
        if noun is None:
            continue
        path, writes = row["args"]["path"], row["args"]["access"] != "read"
        verbs = ("read", "write") if writes else ("read",)
        if all((verb, same(path)) in used for verb in verbs):
            continue
        text = f"{noun} {word(path)} ({'reads and writes' if writes else 'reads'})"
        reach = frozenset(Reach("admit", verb, same(path)) for verb in verbs)
        yield Fact("vmm-only", ("admitted", path), text, row["from"], index, reach)
