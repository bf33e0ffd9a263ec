"""What of a plan is more than a box has that asks for nothing: that, and no more, is red.

The measure is the default: a box with the keys that it must have has a directory of its own as its
root, which it can write to, runs as root in the guest, and is confined where the kernel can.
"""

from __future__ import annotations

from collections.abc import Callable

from krunc_schema import load

from krunc_compiler.review.breadth import is_inside
from krunc_compiler.review.fact import BY_NAME, Fact, Reach
from krunc_compiler.review.facts.storage import ROOT_TAG
from krunc_compiler.review.summary import Review

# Isolations that such a box lacks too.
_LACKED = frozenset({"files", "root", "guest_user", "user", "setuid"})


def unusual_in(review: Review) -> Callable[[Fact], bool]:
    """Return a function that tells whether a fact of REVIEW is more than the default has."""
    is_staged = any(row.get("step") == "lay_stage" for row in review.operations)
    root = ("share", load("orders")["share"] if is_staged else ROOT_TAG)

    def is_unusual(fact: Fact) -> bool:
        if not BY_NAME[fact.kind].loud or fact.held:
            return False
        if fact.kind == "isolation":
            if fact.subject == ("confinement",):
                return Reach("without", "confinement") in fact.reach
            return fact.subject[0] not in _LACKED
        is_root = fact.kind == "write" and fact.subject == root
        return not (is_root and all(map(is_inside, fact.reach)))

    return is_unusual
