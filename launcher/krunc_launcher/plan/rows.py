"""The rows of the tables, by which the operations of a plan are checked and done.

What few plans have is in modules of its own, which the first name out of them imports: a plan is
verified before anything else is done with it, so that its rows are here for all that follows.
"""

from __future__ import annotations

from krunc_launcher._rules import FUNCTIONS, STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROWS: dict[str, dict[str, Any]] = {"call": FUNCTIONS, "step": STEPS, "order": {}}


def known(kind: str, name: str) -> dict[str, Any] | None:
    """Return the row of an operation, which is a call, a step or an order; None for a NAME that
    no table has."""
    found: dict[str, Any] | None = ROWS[kind].get(name)
    if found is None and kind != "call":
        from krunc_launcher._stage_rules import row

        found = row(kind, name)
        if found is not None:
            ROWS[kind][name] = found
    if found is None and kind != "order":
        from krunc_launcher import _rare_rules as rare

        FUNCTIONS.update(rare.FUNCTIONS)
        STEPS.update(rare.STEPS)
        found = ROWS[kind].get(name)
    return found


def kind_of(row: dict[str, Any]) -> str:
    """Tell which kind of operation ROW is, by the key that names it."""
    return (
        "call" if "call" in row else "step" if "step" in row
        else "order" if "order" in row else "implicit"
    )  # fmt: skip
