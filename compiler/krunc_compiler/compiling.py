"""From the text of a box to its plan, in one line of stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from krunc_schema import load

from krunc_compiler import arguments, rendering, rules, variables
from krunc_compiler.api import Target
from krunc_compiler.boxvalue import filled, from_filled
from krunc_compiler.checking import check, validator
from krunc_compiler.findings import Finding, reject
from krunc_compiler.lowering.steps import lower
from krunc_compiler.parsing import parse
from krunc_compiler.plan import Plan, make, moved


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a compilation depends on beside the box: the target, the variables given, and the
    way from the plan's folder to the box's."""

    target: Target
    files: tuple[dict[str, Any], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    prefix: str = "."

    def seen_from(self, prefix: str) -> Inputs:
        """These inputs for a plan from whose folder PREFIX leads to the box's."""
        return replace(self, prefix=prefix)


def compile_box(name: str, text: str, inputs: Inputs) -> Plan:
    """The plan of the box in TEXT, which came from the file NAME.

    Raises Rejected with everything that is wrong with it.
    """
    value, source = parse(name, text)
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "one value"
        raise reject(
            source,
            [
                Finding(
                    "KR004",
                    f"the file holds {kind}; a box is a map of keys",
                    hint="a box starts with `krunc: 1`; `krunc schema box` shows its keys",
                )
            ],
        )
    known, findings = variables.merge(value.get("vars"), inputs.files, inputs.settings)
    value, failed = rendering.render(value, known)
    findings += failed
    schema = load("box.schema")
    broken = {finding.path for finding in failed}
    findings += [found for found in check(value, schema) if found.path not in broken]
    if findings:
        raise reject(source, findings)
    complete = filled(value, schema, validator(schema))
    box = from_filled(complete, frozenset(source.places))
    operations = lower(box, inputs.target)
    findings = rules.check_box(box, inputs.target) + arguments.check(operations)
    findings += rules.check_operations(operations, inputs.target)
    if findings:
        raise reject(source, findings)
    operations = moved(operations, inputs.prefix)
    return make(box, inputs.target, {**value, "vars": known}, operations)
