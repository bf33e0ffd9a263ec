"""What a confined VMM may open though no call of the plan uses it.

The confinement takes its rules from the demands: what a plan demands of the host before the start,
its VMM can open. An honest plan demands what its calls use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.facts.storage import same
from krunc_compiler.review.words import word

_DEMANDS = {"require_directory": "directory", "require_file": "file"}
_VERBS = ("read", "write")


def admitted(operations: Sequence[Ordered], facts: list[Fact]) -> Iterator[Fact]:
    """Yield a fact for each demand of a confined plan that goes beyond what FACTS reach."""
    if all(row.get("step") != "confine" for row in operations):
        return  # then the VMM can open whatever the launching user can
    used = {(verb, target) for fact in facts for verb, _, target in fact.reach if verb in _VERBS}
    for index, row in enumerate(operations):
        text, reach = row.once(_demanded)
        if reach and not used.issuperset((verb, target) for _, verb, target in reach):
            subject = ("admitted", row.args["path"])
            yield Fact("vmm-only", subject, text, row["from"], index, reach)


def _demanded(row: Ordered) -> tuple[str, frozenset[Reach]]:
    """Tell what ROW demands of the host; nothing where it is no demand."""
    noun = _DEMANDS.get(row.get("step", ""))
    if noun is None:
        return "", frozenset()
    path, writes = row.args["path"], row.args["access"] != "read"
    text = f"{noun} {word(path)} ({'reads and writes' if writes else 'reads'})"
    verbs = _VERBS if writes else _VERBS[:1]
    return text, frozenset(Reach("admit", verb, same(path)) for verb in verbs)
