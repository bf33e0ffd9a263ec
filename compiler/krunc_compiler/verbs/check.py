"""krunc check: boxes valid, committed plans current, policies kept."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, NamedTuple

from krunc_compiler.files.boxfiles import ENDING, below, is_box, is_yaml, plan_file, plans_below
from krunc_compiler.files.source import read
from krunc_compiler.findings.finding import Finding, Located, Rejected, Source, UsageError, dotted
from krunc_compiler.findings.report import only, report
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.policy.files import Policy, find, policy_of
from krunc_compiler.review.change_sheet import change_sheet, counted
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.summary import Review, review
from krunc_compiler.review.text import to_text as sheet_text
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.verbs.options import add_inputs, inputs
from krunc_compiler.verbs.reviewed import add_format, terminal

if TYPE_CHECKING:
    from krunc_compiler.pipeline.compiling import Compiled
    from krunc_compiler.rules.collisions import Claims

EXAMPLES = """\
examples:
  krunc check                              everything below this folder
  krunc check boxes/web.yaml deploy        a box, and a folder of boxes and plans
  krunc check --policy strict.yaml boxes
  krunc check --format sarif >krunc.sarif

A box must be valid, and its plan (NAME.plan.json beside it) what it compiles to; else the
difference in meaning is shown. Each plan must keep the policies: .krunc/policy*.yaml and .json at
the top of the git repository, or the files given. `krunc schema policy` describes the YAML form.

exit status: 0 well, 1 something was found, 2 wrong usage
"""
# How many openings a finding tells.
_OPENINGS = 5


class Checked(NamedTuple):
    """The files that were looked at, what was found, and how plans differ from their boxes."""

    files: list[str]
    findings: list[Located]
    differences: list[Difference]


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["."],
        metavar="PATH",
        help="a box, a plan, or a folder of them (default: this one)",
    )
    parser.add_argument(
        "--policy", action="append", metavar="FILE", help="a policy, instead of those in .krunc"
    )
    add_format(parser, ("text", "github", "sarif", "json", "junit"))
    add_inputs(parser)
    # A plan says for which libkrun it was compiled; the option asks for another.
    parser.set_defaults(target=None)


def run(args: Namespace) -> int:
    """Check everything, then print what was found."""
    checked = Checked([], [], [])
    boxes, plans = _files(args.paths, checked.findings)
    policies = _policies(args.policy if args.policy is not None else find(), checked)
    if boxes:
        from krunc_compiler.rules.collisions import (
            collisions,  # plans alone need nothing of the compiler's
        )

        claimed = [one for box in boxes for one in _box(box, args, policies, checked)]
        checked.findings.extend(collisions(claimed))
    for plan in plans:
        if plan not in checked.files:
            _plan(plan, policies, checked)
    sys.stdout.write(_shown(args.format, checked, len(boxes)))
    return 1 if any(not item.finding.warning for item in checked.findings) else 0


def _files(paths: list[str], unread: list[Located]) -> tuple[list[str], list[str]]:
    boxes: list[str] = []
    plans: list[str] = []
    for given in paths:
        for path in _below(given, unread):
            (plans if path.endswith(ENDING) else boxes).append(path)
    if not boxes and not plans and not unread:
        raise UsageError(f"no box and no plan in {' '.join(paths)}")
    return list(dict.fromkeys(boxes)), list(dict.fromkeys(plans))


def _below(given: str, unread: list[Located]) -> list[str]:
    """The boxes and plans of a folder; of hidden folders the plans: no policy may miss one."""
    if not os.path.isdir(given):
        return [given]
    plans = list(plans_below(given, unread))  # it enters every folder that below does
    return [*(path for path in below(given, []) if is_yaml(path) and is_box(path)), *plans]


def _policies(paths: list[str], checked: Checked) -> list[Policy]:
    policies = []
    for path in paths:
        checked.files.append(path)
        try:
            policies.append(policy_of(path))
        except Rejected as rejected:
            checked.findings.extend(rejected.findings)
    return policies


def _box(box: str, args: Namespace, policies: list[Policy], checked: Checked) -> list[Claims]:
    """Compile BOX, compare its plans, and hold them to the policies."""
    from krunc_compiler.pipeline.compiling import compile_all
    from krunc_compiler.rules.collisions import claims

    checked.files.append(box)
    try:
        name, text = read(box)
        made, warned = compile_all(name, text, _inputs(args, plan_file(box)))
        places = [plan_file(box, one.plan.box if one.is_matrix else None) for one in made]
        if made[0].is_matrix:
            made, warned = compile_all(name, text, _inputs(args, *places))
    except Rejected as rejected:
        checked.findings.extend(rejected.findings)
        return []
    checked.findings.extend(warned)
    for one, place in zip(made, places, strict=True):
        _compare(one, box, place, policies, checked)
    return [claims(one.box, one.source, one.allowed) for one in made]


def _inputs(args: Namespace, *plans: str) -> Inputs:
    """The inputs of a box with these PLANS: its target is theirs, unless the user names one."""
    target = args.target
    for plan in plans:
        if target is None and os.path.exists(plan):
            with contextlib.suppress(Rejected):  # it is reported when it is compared
                target = read_plan(*read(plan)).target
    return inputs(Namespace(**{**vars(args), "target": target or "1"}))


def _compare(one: Compiled, box: str, plan: str, policies: list[Policy], checked: Checked) -> None:
    made = one.text
    current = review(read_plan(plan, made))
    committed, text = _committed(plan, checked)
    if text is None:
        finding = Finding("KR301", f"{box} has no plan", hint="krunc compile makes it")
        checked.findings.extend(only(plan, finding))
    elif text != made:
        difference = compare(committed, current) if committed else None
        if difference and difference.changes:
            checked.differences.append(difference)
        checked.findings.extend(only(plan, _stale(box, difference)))
    _judge(current, box, one.source, policies, checked)


def _stale(box: str, difference: Difference | None) -> Finding:
    """That a plan is out of date, and, for formats that have no room for more, what is opened."""
    message = f"this is not what {box} compiles to"
    hint = "run krunc compile and review the difference"
    if difference:
        message += f": {counted(difference)}"
        opens = [f"{change.kind}: {change.text}" for change in difference.of("opens")]
        more = [f"{len(opens) - _OPENINGS} more"] if len(opens) > _OPENINGS else []
        said = "; ".join([*opens[:_OPENINGS], *more])
        hint += f". Compiled, it opens {said}" if opens else ""
    return Finding("KR301", message, hint=hint)


def _committed(plan: str, checked: Checked) -> tuple[Review | None, str | None]:
    """The review of the committed PLAN and its text; None for what there is not."""
    if not os.path.exists(plan):
        return None, None
    checked.files.append(plan)
    text = ""
    try:
        name, text = read(plan)
        return review(read_plan(name, text)), text
    except Rejected as rejected:
        checked.findings.extend(rejected.findings)
        return None, text


def _plan(plan: str, policies: list[Policy], checked: Checked) -> None:
    """Hold a plan, whose box is not at hand, to the policies."""
    checked.files.append(plan)
    try:
        name, text = read(plan)
        found = review(read_plan(name, text))
    except Rejected as rejected:
        checked.findings.extend(rejected.findings)
        return
    if not policies and not found.value.get("waivers"):
        return
    from krunc_compiler.text.parsing import parse

    _, source = parse(name, text)
    _judge(found, plan, source, policies, checked)


def _judge(
    found: Review, path: str, source: Source, policies: list[Policy], checked: Checked
) -> None:
    """Findings stand at the key of the box that asks for the operation, else at the operation."""
    folder = os.path.dirname(os.path.abspath(path))
    broken: set[str] = set()
    for policy in policies:
        try:
            findings = policy.judge(found, folder)
        except Rejected as rejected:
            checked.findings.extend(one for one in rejected.findings if one not in checked.findings)
            continue
        broken |= policy.rules_broken(found, folder)
        for finding in findings:
            checked.findings.append(Located(source, _placed(finding, found, source)))
    for i, waiver in enumerate(found.value.get("waivers", ())):
        if waiver["rule"] not in broken:
            message = f"the waiver of {waiver['rule']!r} waives nothing"
            finding = Finding("KR504", message, ("waivers", i), "leave it out", warning=True)
            checked.findings.append(Located(source, finding))


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


def _shown(form: str, checked: Checked, boxes: int) -> str:
    if form == "text":
        parts = [sheet_text(change_sheet(one), *terminal()) for one in checked.differences]
        if checked.findings:
            return "\n".join([*parts, report(checked.findings, terminal()[1])])
        return f"krunc: {len(checked.files)} files checked, {boxes} of them boxes: all well\n"
    from krunc_compiler.findings.formats import document, formatted, junit  # XML is slow to import

    match form:
        case "junit":
            return junit(checked.files, checked.findings)
        case "json":
            value = document(checked.findings, krunc_check=1, checked=checked.files)
            return json.dumps(value, indent=1) + "\n"
        case _:
            return formatted(checked.findings, form)
