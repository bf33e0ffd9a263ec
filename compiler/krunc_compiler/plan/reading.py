"""A plan's text to a plan, for review: nothing in it is believed that the calls do not show."""

from __future__ import annotations

from functools import cache
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding, Source, reject
from krunc_compiler.plan.json_text import places, value_of
from krunc_compiler.plan.operation import KINDS
from krunc_compiler.plan.plan import FORMAT, Plan, required
from krunc_compiler.plan.schema import head_schema, operation_schemas
from krunc_compiler.shape.checking import check

# What is not known here can be of a later krunc, whose plans have the same format.
_NEWER = "update krunc here if a newer one made the plan, or compile the box with this one"


def read_plan(name: str, text: str) -> Plan:
    """Return the plan in TEXT, which came from the file NAME.

    Raises Rejected when it is no plan, holds an operation that is not in the tables, or is not
    honest about what libkrun does by itself. The launcher checks more: the order, what may stand
    only once, and what JSON Schema cannot tell of a value.
    """
    source = Source(name, text, {})
    value = value_of(source)
    findings = _newer(value) or list(map(_by_whom, check(value, head_schema())))
    if not findings:
        rows = enumerate(value["operations"])
        findings = [found for i, row in rows for found in row_findings(i, row)]
    findings = findings or call_findings(value)
    if findings:
        raise reject(source_of(name, text), findings)
    return plan_of_value(value)


def _newer(value: Any) -> list[Finding]:
    """Find whether VALUE is a plan in a newer format: all else that it has may be right."""
    found = value.get("krunc_plan") if isinstance(value, dict) else None
    if type(found) is not int or found <= FORMAT:
        return []
    message = f"format {found} is newer than this krunc, which knows {FORMAT}"
    return [Finding("KR406", message, ("krunc_plan",), hint=_NEWER)]


def _by_whom(finding: Finding) -> Finding:
    """Return FINDING; what is not known may be so to a newer krunc."""
    if finding.code not in ("KR101", "KR403") or finding.hint.startswith("did you mean"):
        return finding
    return finding._replace(hint=f"{finding.hint}; {_NEWER}")


def plan_of_value(value: dict[str, Any]) -> Plan:
    """Return the plan with the JSON VALUE, which was checked or made by krunc itself."""
    return Plan(
        box=value["box"],
        target=value["target"],
        era=value["api"],
        requires=value["requires"],
        digest=value["box_digest"],
        operations=tuple(value["operations"]),
        labels=value.get("labels", {}),
        waivers=tuple(value.get("waivers", ())),
    )


def source_of(name: str, text: str) -> Source:
    """Return the plan TEXT of the file NAME with the places in it."""
    return Source(name, text, places(text))


def row_findings(index: int, row: dict[str, Any]) -> list[Finding]:
    """Find what is wrong with ROW by itself, the operation of a plan at INDEX."""
    where = ("operations", index)
    kinds = [kind for kind in KINDS if kind in row]
    if len(kinds) != 1:
        return [Finding("KR403", "an operation is one of: " + ", ".join(KINDS), where)]
    (kind,) = kinds
    if not isinstance(row[kind], str) or (kind, row[kind]) not in operation_schemas():
        names = [name for known, name in operation_schemas() if known == kind]
        close = wording.nearest(str(row[kind]), names)
        known = wording.nearest_first(str(row[kind]), names)
        hint = f"did you mean {close}?" if close else f"write one of: {known}"
        message = f"{row[kind]!r} is not a {kind} of a plan"
        return [_by_whom(Finding("KR403", message, (*where, kind), hint))]
    schema = _operation(kind, row[kind])
    return [_by_whom(found)._replace(path=(*where, *found.path)) for found in check(row, schema)]


@cache
def _operation(kind: str, name: str) -> dict[str, Any]:
    """Return the schema of one operation, with the definitions that it refers to."""
    return {**operation_schemas()[kind, name], "$defs": head_schema()["$defs"]}


def call_findings(value: dict[str, Any]) -> list[Finding]:
    """Find where the plan VALUE is not honest about what its calls need and imply."""
    return [*_implicit(value), *_needed(value)]


def _needed(value: dict[str, Any]) -> list[Finding]:
    """Tell where the head does not say what the calls need of libkrun."""
    needed = required(value["api"], value["operations"])
    told = {"libkrun": needed["libkrun"], "features": ", ".join(needed["features"]) or "none"}
    hint = "compile the box again; a plan is not edited by hand"
    return [
        Finding("KR405", f"the calls need {told[name]}", ("requires", name), hint=hint)
        for name in told
        if value["requires"][name] != needed[name]
    ]


def _implicit(value: dict[str, Any]) -> list[Finding]:
    operations = value["operations"]
    calls = [(row["call"], row.get("args", {})) for row in operations if "call" in row]
    honest = api.implied(value["api"], calls)
    stated = [row["implicit"] for row in operations if "implicit" in row]
    findings = [
        Finding(
            "KR402", f"the calls imply {name!r}, which the plan does not state", ("operations",)
        )
        for name in honest
        if name not in stated
    ]
    for i, row in enumerate(operations):
        if "implicit" in row and row["implicit"] not in honest:
            findings.append(
                Finding(
                    "KR402",
                    f"the calls do not imply {row['implicit']!r}",
                    ("operations", i),
                    hint="compile the box again; a plan is not edited by hand",
                )
            )
    return findings
