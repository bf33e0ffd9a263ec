"""Many plans, of which most lines are the same: each line is parsed and verified once.

That is quick only for a plan as krunc writes it, in which nothing is wrong; every other is read as
one alone is. tests/plan/test_reading_many.py holds the two equal.
"""

from __future__ import annotations

from typing import Any

from krunc_compiler.libkrun import dots, implying
from krunc_compiler.plan.bounds import most
from krunc_compiler.plan.json_text import strict
from krunc_compiler.plan.operation import Operation
from krunc_compiler.plan.ordered import Ordered, ordered
from krunc_compiler.plan.plan import Plan, needs
from krunc_compiler.plan.reading import call_findings, plan_of_value, read_plan, row_findings
from krunc_compiler.plan.schema import head_schema
from krunc_compiler.shape.checking import check

# Of so many lines the first are forgotten, and a longer line stands in one plan alone.
_KEPT, _LONGEST = 4096, 2048
# So many lists of calls are kept.
_HONEST = 64
_FIRST, _END, _BETWEEN = '"operations": [\n', "\n]\n}\n", ",\n"
_ROW_LEVEL = 3


class Rows:
    """The operations of plans that were read, by their lines: one object for all of them."""

    def __init__(self) -> None:
        self._known: dict[str, Ordered] = {}
        self._honest: set[tuple[str, ...]] = set()

    def read(self, name: str, text: str) -> Plan:
        """Return the plan in TEXT, which came from the file NAME; raises Rejected, as read_plan
        does."""
        return self._by_lines(text) or read_plan(name, text)

    def _by_lines(self, text: str) -> Plan | None:
        """Return the plan in TEXT if it is one as krunc writes it, and all is well with it.

        Where the head is JSON without the operations, and each line between its commas is JSON by
        itself, so is the whole, for no string goes over the end of a line.
        """
        head, found, rest = text.partition(_FIRST)
        # So few characters can hold no more values than a plan may have.
        if not (found and head.endswith(_BETWEEN) and rest.endswith(_END)) or len(text) > 2 * most(
            "values"
        ):
            return None
        try:
            value = strict(f"{head}{_FIRST}{_END}")
            rows = [self._row(line) for line in rest[: -len(_END)].split(_BETWEEN)]
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or value.get("operations") != []:
            return None
        value["operations"] = rows
        if check(value, head_schema()) or not self._is_honest(value, rows):
            return None
        return plan_of_value(value)

    def _is_honest(self, value: dict[str, Any], rows: list[Ordered]) -> bool:
        """Tell whether the head of the plan VALUE says what its calls, which are in ROWS, need and
        imply. Of plans with the same calls it is found out once."""
        needs = value["requires"]
        calls = [row.once(_said) for row in rows]
        said = (value["api"], needs["libkrun"], *needs["features"], *calls)
        if said not in self._honest:
            if call_findings(value):
                return False
            if len(self._honest) == _HONEST:
                self._honest.clear()
            self._honest.add(said)
        return True

    def _row(self, line: str) -> Ordered:
        """Return the operation in LINE. Raises ValueError for what is none."""
        known = self._known.get(line)
        if known is not None:
            return known
        row = strict(line, _ROW_LEVEL)
        if not isinstance(row, dict) or row_findings(0, row):
            raise ValueError
        found = ordered(row)
        if len(line) <= _LONGEST:
            if len(self._known) == _KEPT:
                self._known.clear()
            self._known[line] = found
        return found


def _said(row: Ordered) -> str:
    """Return what `call_findings` looks at in ROW."""
    if row.kind == "implicit":
        return f"implicit {row.name}"
    if row.kind != "call":
        return ""
    since = needs(Operation("call", row.name, (), row.args))
    return " ".join([dots(since), *implying(row.name, row.args)])
