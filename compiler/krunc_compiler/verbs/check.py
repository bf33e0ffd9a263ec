"""krunc check: boxes valid, committed plans current, policies kept."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.files.sha256 import for_many
from krunc_compiler.files.within import around
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Finding, UsageError
from krunc_compiler.findings.report import printable, report
from krunc_compiler.findings.wording import plural
from krunc_compiler.pipeline.gathering import Gathered, gather
from krunc_compiler.pipeline.parallel import MANY, spread
from krunc_compiler.policy.repository import Policies, unapplied
from krunc_compiler.review.change_sheet import change_sheet
from krunc_compiler.review.text import to_text as sheet_text
from krunc_compiler.values.kind import IS_POLICY, kind_of_file
from krunc_compiler.verbs.checking import Checked, Run, check_box, check_plan, made_by
from krunc_compiler.verbs.makers import Makers
from krunc_compiler.verbs.options import add_allowed, add_inputs
from krunc_compiler.verbs.plan_homes import plan_homes
from krunc_compiler.verbs.reviewed import add_format, terminal

if TYPE_CHECKING:
    from krunc_compiler.rules.collisions import Claims

EXAMPLES = """\
examples:
  krunc check                              everything below this directory
  krunc check boxes/web.yaml deploy        a box, and a directory of boxes and plans
  krunc check --policy strict.yaml boxes
  krunc check --format sarif >krunc.sarif

A box must be valid, and its plan (NAME.plan.json) what it compiles to; else the difference is
shown. Its plans lie beside it, or all in one directory without boxes, as
krunc compile -o DIR/ writes them. Each plan must be one that the launcher takes, that a box makes,
and that complies with the policies: .krunc/policy*.yaml and .json of the file's git repository,
or the files given. `krunc schema policy` describes the YAML form.

exit codes: 0 success, 1 something was found, 2 usage error
"""
# So many differences are told one by one; of more, what they share is told once.
_SHEETS = 3
# So many skipped files the closing line names.
_NAMED = 3


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["."],
        metavar="PATH",
        help="a box, a plan, or a directory of them (default: this one)",
    )
    parser.add_argument(
        "--policy", action="append", metavar="FILE", help="a policy, instead of those in .krunc"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="name each file that is skipped, and why"
    )
    add_format(parser, ("text", "github", "sarif", "json", "junit"))
    add_allowed(parser)
    add_inputs(parser)
    # A plan says for which libkrun it was compiled; the option asks for another.
    parser.set_defaults(verify=None)


def run(args: Namespace) -> int:
    """Check everything, then print what was found."""
    within = around(args.paths, [*args.vars, *(args.policy or ())], args.allow_outside)
    found = gather(args.paths, within)
    policies = Policies(args.policy, within)
    checked = Checked([], list(found.findings), [], [])
    homes = plan_homes(found.plans, found.boxes)
    _check(found, Run(args, policies, Makers(set(), {}, set(), {}), checked, within, homes))
    for given in args.paths:
        policies.of(given if os.path.isdir(given) else os.path.dirname(given))
    asked = set(map(os.path.realpath, policies.read))
    skipped = {
        path: why for path, why in found.skipped.items() if os.path.realpath(path) not in asked
    }
    # With --policy nobody expects another to be applied.
    policies_apart = [path for path, why in skipped.items() if why == IS_POLICY and not args.policy]
    strays = [one for path in policies_apart for one in unapplied(path)]
    if not (
        found.boxes
        or found.plans
        or found.locks
        or policies.read
        or policies.findings
        or found.findings
    ):
        few = f"; skipped {_skipped(found.skipped)}" if found.skipped else ""
        told = "".join(f": {one.finding.message}; {one.finding.hint}" for one in strays[:1])
        raise UsageError(f"no box and no plan in {' '.join(args.paths)}{few}{told}")
    looked = Checked(
        [*policies.read, *checked.files],
        [*policies.findings, *checked.findings, *strays],
        checked.differences,
        checked.changes,
    )
    _print(args, looked, skipped, _counts(found, checked, policies))
    return 1 if any(not item.finding.warning for item in looked.findings) else 0


def _check(found: Gathered, run: Run) -> None:
    if found.boxes:
        from krunc_compiler.rules.collisions import (
            collisions,  # plans alone need nothing of the compiler's
        )

        claimed = _boxes(found.boxes, run)
        run.checked.findings.extend(collisions(claimed))
    for lock in found.locks:
        hint = "remove it, or bring its box back"
        run.tell(lock, Finding("KR709", "no box lies beside this lock", hint=hint))
    alone = _alone(found, run)
    looked = set(run.checked.files)
    plans = [
        (plan, home, plan in alone or run.makers.has(plan))
        for plan, home in found.plans.items()
        if plan not in looked
    ]
    if len(plans) >= MANY:
        _read_policies(((plan, home) for plan, home, _ in plans), run)
    with closing(spread(partial(_plan_apart, run), plans)) as results:
        for checked in results:
            run.checked.take(checked)


def _boxes(boxes: dict[str, str], run: Run) -> list[Claims]:
    """Check BOXES, each with the directory through which it was found: many on all processors."""
    if len(boxes) < MANY:
        return [one for box, home in boxes.items() for one in check_box(box, home, run)]
    _read_policies(boxes.items(), run)
    claimed: list[Claims] = []
    with closing(spread(partial(_apart, run), list(boxes.items()))) as results:
        for checked, makers, claims in results:
            run.checked.take(checked)
            run.makers.take(makers)
            claimed += claims
    return claimed


def _read_policies(files: Iterable[tuple[str, str]], run: Run) -> None:
    """Read the policies of FILES, each with the directory through which it was found, once for all
    workers."""
    for_many()
    for directory, home in dict.fromkeys((os.path.dirname(path), home) for path, home in files):
        run.policies.of(directory, home)


def _apart(run: Run, item: tuple[str, str]) -> tuple[Checked, Makers, list[Claims]]:
    """Check the box of ITEM by itself; of its differences little is kept, for there may be many."""
    own = run._replace(makers=Makers(set(), {}, set(), {}), checked=Checked([], [], [], []))
    claims = check_box(*item, own)
    own.checked.differences.clear()
    return own.checked.settled(), own.makers, claims


def _plan_apart(run: Run, item: tuple[str, str, bool]) -> Checked:
    """Check the plan of ITEM by itself."""
    own = run._replace(checked=Checked([], [], [], []))
    check_plan(*item, own)
    return own.checked.settled()


def _alone(found: Gathered, run: Run) -> set[str]:
    """Return the plans that were named, and beside which no box was looked at: whether one makes
    them is not asked. Where one was, its neighbours tell what they make."""
    with_boxes = {os.path.dirname(os.path.normpath(box)) for box in found.boxes}
    looked = set(map(os.path.normpath, found.boxes))
    alone = set()
    for plan in found.named:
        home = os.path.dirname(os.path.normpath(plan))
        if home not in with_boxes:
            alone.add(plan)
            continue
        try:
            names = sorted(filter(is_box_name, os.listdir(home or ".")))
        except OSError:
            alone.add(plan)
            continue
        for box in (os.path.join(home, name) for name in names):
            if box in looked:
                continue
            looked.add(box)
            with contained(box, []):  # nobody asked about it
                if kind_of_file(box, run.within).kind == "box":
                    made_by(box, run)
    return alone


def _counts(found: Gathered, checked: Checked, policies: Policies) -> dict[str, int]:
    plans = len(set(map(os.path.normpath, checked.files)) - set(map(os.path.normpath, found.boxes)))
    return {"boxes": len(found.boxes), "plans": plans, "policies": len(set(policies.read))}


def _print(
    args: Namespace, checked: Checked, skipped: dict[str, str], counts: dict[str, int]
) -> None:
    """Write what was found, then what was looked at: where a machine reads, beside it."""
    sys.stdout.write(_shown(args.format, checked, skipped, counts))
    said = ", ".join(
        plural(number, _NOUNS[group], group) for group, number in counts.items() if number
    )
    well = "" if checked.findings else ": no problems found"
    lines = [f"krunc: {_line(path, why)}" for path, why in skipped.items() if args.verbose]
    left_out = f"; skipped {_skipped(skipped, args.verbose)}" if skipped else ""
    lines.append(f"krunc: checked {said}{left_out}{well}")
    if args.format != "json":
        stream = sys.stdout if args.format == "text" else sys.stderr
        stream.write("\n".join(lines) + "\n")


def _line(path: str, why: str) -> str:
    return f"skipped {printable(path)}: {printable(why)}"


def _skipped(skipped: dict[str, str], is_told: bool = False) -> str:
    """Tell how many files were SKIPPED, with the names of the first of them, unless that
    IS_TOLD."""
    names = ", ".join(map(printable, list(skipped)[:_NAMED]))
    more = len(skipped) - _NAMED
    rest = f" and {more} more, which --verbose names" if more > 0 else ""
    return plural(len(skipped), "file") + ("" if is_told else f" ({names}{rest})")


_NOUNS = {"boxes": "box", "plans": "plan", "policies": "policy"}


def _shown(form: str, checked: Checked, skipped: dict[str, str], counts: dict[str, int]) -> str:
    if form == "text":
        sheets = [change_sheet(one) for one in checked.differences]
        if len(checked.changes) > min(len(sheets), _SHEETS):
            from krunc_compiler.review.fleet import fleet
            from krunc_compiler.review.fleet_sheet import fleet_sheet

            sheets = [fleet_sheet(fleet(checked.changes), "plans")]
        parts = [sheet_text(one, *terminal()) for one in sheets]
        if checked.findings:
            parts.append(report(checked.findings, terminal()[1]))
        return "\n".join(parts)
    from krunc_compiler.findings.formats import document, formatted, junit  # XML is slow to import

    match form:
        case "junit":
            return junit(checked.files, checked.findings)
        case "json":
            rows = [
                {"file": printable(path), "why": printable(why)} for path, why in skipped.items()
            ]
            more = {**counts, "checked": checked.files, "skipped": rows}
            value = document(checked.findings, krunc_check=1, **more)
            return json.dumps(value, indent=1) + "\n"
        case _:
            return formatted(checked.findings, form)
