"""Boxes and plans as krunc check looks at them, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from krunc_compiler.files.boxfiles import plan_name
from krunc_compiler.files.contents import contents
from krunc_compiler.files.source import MAX_BYTES, read
from krunc_compiler.files.within import Within
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Finding, Located, Source, dotted
from krunc_compiler.findings.report import only, settled
from krunc_compiler.libkrun import Target
from krunc_compiler.pipeline.existing import another_target, target_of, way
from krunc_compiler.plan.plan import Plan
from krunc_compiler.plan.reading import plan_of_value, read_plan, source_of
from krunc_compiler.plan.refusal import refused
from krunc_compiler.policy.files import Policy
from krunc_compiler.policy.repository import Policies
from krunc_compiler.review.change_sheet import counted
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.fleet import PlanChange, told
from krunc_compiler.review.summary import Review, review
from krunc_compiler.verbs.makers import Makers, astray
from krunc_compiler.verbs.options import inputs
from krunc_compiler.verbs.plan_homes import PlanHomes

if TYPE_CHECKING:
    from krunc_compiler.pipeline.compiling import Compiled
    from krunc_compiler.rules.collisions import Claims
    from krunc_compiler.values.inputs import Inputs

# How many openings a finding tells.
_OPENINGS = 5


class Checked(NamedTuple):
    """The files that were looked at, what was found, and how plans differ from their boxes: whole,
    and as little of it as is kept of many."""

    files: list[str]
    findings: list[Located]
    differences: list[Difference]
    changes: list[PlanChange]

    def take(self, other: Checked) -> None:
        """Add what OTHER has."""
        self.files.extend(other.files)
        self.findings.extend(other.findings)
        self.differences.extend(other.differences)
        self.changes.extend(other.changes)

    def settled(self) -> Checked:
        """Return it with findings that keep little."""
        return self._replace(findings=settled(self.findings))


class Run(NamedTuple):
    """What one check has from file to file."""

    args: Namespace
    policies: Policies
    makers: Makers
    checked: Checked
    within: Within
    homes: PlanHomes

    def tell(self, name: str, finding: Finding) -> None:
        """Keep FINDING about the file NAME as a whole."""
        self.checked.findings.extend(only(name, finding))


def check_box(box: str, home: str, run: Run) -> list[Claims]:
    """Compile BOX, compare its plans, and hold them to the policies of its directory, theirs and
    HOME."""
    from krunc_compiler.rules.collisions import claims

    run.checked.files.append(box)
    found: list[Claims] = []
    with contained(box, run.checked.findings):
        made, warned, places = made_by(box, run)
        run.checked.findings.extend(warned)
        found += [
            claims(one.box, one.source, one.allowed, place)
            for one, place in zip(made, places, strict=True)
        ]
        directories = dict.fromkeys(os.path.dirname(path) for path in (box, *places))
        policies = run.policies.of(*directories, home)
        for one, place in zip(made, places, strict=True):
            with contained(place, run.checked.findings):
                _compare(one, box, place, policies, run)
    return found


def made_by(box: str, run: Run) -> tuple[list[Compiled], list[Located], list[str]]:
    """Compile BOX: what it makes, the warnings, and where the plans go. Raises Rejected."""
    from krunc_compiler.pipeline.compiling import compile_all

    try:
        name, text = read(box, run.within)
        home = os.path.dirname(box)
        made, warned = compile_all(name, text, _inputs(box, home, run))
        there = run.homes.of({_plan_name(box, one): one.plan.box for one in made}, run.within)
        if there is not None and not any(os.path.exists(_place(box, home, one)) for one in made):
            home = there
            made, warned = compile_all(name, text, _inputs(box, home, run))
        places = [_place(box, home, one) for one in made]
    except Exception:  # whatever it is, nobody knows what the box makes
        run.makers.fails(box)
        raise
    for one, place in zip(made, places, strict=True):
        run.makers.makes(box, place, one.plan)
    return made, warned, places


def _inputs(box: str, home: str, run: Run) -> Inputs:
    """Return the inputs of the file BOX, whose plans lie in the directory HOME."""
    given = inputs(run.args, run.within)._replace(kept=partial(_kept, box, home, run.within))
    return given.seen_from(way(os.path.dirname(box) or ".", home or "."))


def _plan_name(box: str, one: Compiled) -> str:
    return plan_name(box, one.plan.box if one.is_matrix else None)


def _place(box: str, home: str, one: Compiled) -> str:
    return os.path.join(home, _plan_name(box, one))


def _kept(box: str, home: str, within: Within, name: str, is_matrix: bool) -> Target | None:
    """Return the libkrun that the plan is for that the box NAME of the file BOX has already."""
    return target_of(os.path.join(home, plan_name(box, name if is_matrix else None)), within)


def _command(box: str, plan: str) -> str:
    """Tell how PLAN is made of BOX, in whatever directory it lies."""
    home = os.path.dirname(plan)
    beside = os.path.normpath(home) == os.path.normpath(os.path.dirname(box))
    return f"krunc compile {box}" + ("" if beside else f" -o {home or '.'}/")


def _compare(one: Compiled, box: str, plan: str, policies: list[Policy], run: Run) -> None:
    made = one.text
    committed, text = _committed(plan, made, run)
    if text != made or policies or one.plan.waivers:
        # As read from its text: a box and its plan are reviewed alike.
        current = review(plan_of_value(json.loads(made)))
    if text is None:
        hint = f"run {_command(box, plan)}"
        run.tell(plan, Finding("KR301", f"{box} has no plan", hint=hint))
    elif text != made:
        difference = compare(committed, current) if committed else None
        if committed and difference and difference.changes:
            run.checked.differences.append(difference)
            both = (committed.digest, current.digest)
            run.checked.changes.append(PlanChange(plan, "changed", *both, told(difference)))
        another = another_target(target_of(plan, run.within), one.plan.target)
        run.tell(plan, _stale(box, _command(box, plan), difference, another))
    run.checked.findings.extend(refused(run.args.verify, plan, made.encode("utf-8", "replace")))
    if policies or one.plan.waivers:
        _judge(current, one.source, plan, policies, run)


def _stale(box: str, command: str, difference: Difference | None, another: str) -> Finding:
    """That a plan is out of date, and, for formats that have no room for more, what is opened."""
    message = f"this is not what {box} compiles to{another}"
    hint = f"run {command} and review the difference"
    if difference:
        message += f": {counted(difference)}"
        opens = [f"{change.kind}: {change.text}" for change in difference.of("widens")]
        more = [f"{len(opens) - _OPENINGS} more"] if len(opens) > _OPENINGS else []
        said = "; ".join([*opens[:_OPENINGS], *more])
        hint += f". Compiled, it widens host access: {said}" if opens else ""
    return Finding("KR301", message, hint=hint)


def _committed(plan: str, made: str, run: Run) -> tuple[Review | None, str | None]:
    """Return the review of the committed PLAN, unless it is what was MADE, of which the launcher is
    asked anyway, and its text; None for what there is not."""
    if not os.path.exists(plan):
        return None, None
    run.checked.files.append(plan)
    text = ""
    with contained(plan, run.checked.findings):
        name, text = read(plan, run.within)
        # Of another size are other bytes: a mark in front, or other ends of lines.
        if text == made and os.stat(plan).st_size == len(made.encode("utf-8")):
            return None, text
        return review(_believed(name, text, run)), text
    return None, text


def _believed(plan: str, text: str, run: Run) -> Plan:
    """Return the PLAN with TEXT, after the launcher was asked what it says. Raises Rejected."""
    found = read_plan(plan, text)
    data = text.encode("utf-8", "replace")
    if os.path.isfile(plan):
        with contextlib.suppress(OSError):
            data = contents(plan, MAX_BYTES + 1)  # not as it was read, with other ends of lines
    run.checked.findings.extend(refused(run.args.verify, plan, data))
    return found


def check_plan(plan: str, home: str, is_named: bool, run: Run) -> None:
    """Hold PLAN, beside which no box was found that makes it, to the policies of its directory and
    HOME. That no box makes it is told, unless it IS_NAMED alone."""
    run.checked.files.append(plan)
    with contained(plan, run.checked.findings):
        name, text = read(plan, run.within)
        made = _believed(name, text, run)
        if not is_named:
            finding = astray(plan, made, text, run.makers, run.args, run.within)
            if finding is not None:
                run.tell(plan, finding)
        found, policies = review(made), run.policies.of(os.path.dirname(plan), home)
        if policies or found.value.get("waivers"):
            _judge(found, source_of(name, text), plan, policies, run)


def _judge(found: Review, source: Source, path: str, policies: list[Policy], run: Run) -> None:
    """Findings stand at the key of the box that asks for the operation, else at the operation."""
    directory = os.path.dirname(os.path.abspath(path))
    findings = run.checked.findings
    broken: set[str] = set()
    for policy in policies:
        faults: list[Located] = []
        with contained(policy.source.name, faults):
            judged = policy.judge(found, directory)
            if "waivers" in found.value:
                broken |= policy.rules_broken(found, directory)
            findings += [Located(source, _placed(finding, found, source)) for finding in judged]
        findings += [one for one in faults if one not in findings]  # once for all plans
    for i, waiver in enumerate(found.value.get("waivers", ())):
        if waiver["rule"] not in broken:
            message = f"the waiver of {waiver['rule']!r} is unused"
            finding = Finding("KR504", message, ("waivers", i), "remove it")
            findings.append(Located(source, finding))


def _placed(finding: Finding, found: Review, source: Source) -> Finding:
    if finding.path in source.places:
        return finding
    if finding.path == ("box",):
        return finding._replace(path=("name",))
    operations = found.operations
    if len(finding.path) < 2 or finding.path[0] != "operations":
        return finding._replace(path=())
    number = finding.path[1]
    assert isinstance(number, int)
    keys = {dotted(path): path for path in source.places}
    origin = operations[number]["from"]
    message = f"{finding.message} (operation {number + 1} of the plan)"
    return finding._replace(path=keys.get(origin, ()), message=message, at_key=True)
