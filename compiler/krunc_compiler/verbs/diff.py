"""krunc diff: what changes in meaning between two plans."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler import libkrun as api
from krunc_compiler.files import git as revision
from krunc_compiler.files.within import repository
from krunc_compiler.findings.finding import Located, Rejected, UsageError
from krunc_compiler.findings.report import report
from krunc_compiler.plan.plan import Plan, moved
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.change_sheet import change_sheet, difference_document
from krunc_compiler.review.difference import Change, Difference, compare
from krunc_compiler.review.markdown import to_markdown
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text
from krunc_compiler.verbs.options import add_inputs, inputs
from krunc_compiler.verbs.reviewed import (
    NOTHING,
    add_format,
    compiled,
    directory_of,
    is_box,
    terminal,
    text_of,
)

EXAMPLES = """\
examples:
  krunc diff main:boxes/web.plan.json boxes/web.plan.json
  krunc diff boxes/web.plan.json boxes/web.yaml     what compiling again would change
  krunc diff /dev/null web.plan.json                a plan that did not exist
  krunc diff old.plan.json new.plan.json --format markdown >comment.md
  krunc diff --names a/web.plan.json b/web.plan.json OLD NEW     copies of a plan that moved
  krunc diff main:boxes                             all plans below a directory, since main

OLD and NEW are plans or boxes: files, REV:path as git has it,
- for standard input on one side, /dev/null for one that does not exist. Equivalent plans
print nothing in text and markdown. `krunc schema diff` describes the JSON.
Of two in one repository, the relative paths of each start at its own directory, else at one.
Of two directories all plans below them are compared, by their names there; boxes are omitted. What
many plans share is shown once. Without NEW, REV:path is compared with the files that are there.

exit codes: 0 equivalent, 1 different, 2 the input is wrong, or usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    sides = "a plan or a box: a file, REV:path, - or /dev/null; or a directory of plans"
    parser.add_argument("old", metavar="OLD", help=f"what was before: {sides}")
    parser.add_argument(
        "new",
        nargs="?",
        metavar="NEW",
        help="what is now, in the same forms; default: of REV:path the files that are there",
    )
    parser.add_argument(
        "--names",
        nargs=2,
        metavar=("OLD-PATH", "NEW-PATH"),
        help="where OLD and NEW, which are copies, come from: relative paths start there",
    )
    add_format(parser, ("text", "markdown", "html", "json"))
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Print the difference."""
    args.new = _there(args.old) if args.new is None else args.new
    if args.old == args.new == "-":
        raise UsageError("only one side can be standard input")
    try:
        if any(_is_directory(side) for side in (args.old, args.new)):
            return _of_directories(args)
        difference = _compared(_both(args), _directories(args))
    except Rejected as rejected:
        # 1 would say that they differ.
        sys.stderr.write(report(rejected.findings))
        return 2
    match args.format:
        case "json":
            sys.stdout.write(json.dumps(difference_document(difference), indent=1) + "\n")
        case "html":
            from krunc_compiler.review.page import difference_page

            sys.stdout.write(difference_page(difference))
        case "markdown" if difference.changes:
            sys.stdout.write(to_markdown(change_sheet(difference)))
        case "text" if difference.changes:
            sys.stdout.write(to_text(change_sheet(difference), *terminal()))
    return 1 if difference.changes else 0


def _there(old: str) -> str:
    """Return the path of what is there of OLD, which has the form REV:path."""
    _, _, path = old.partition(":")
    if not revision.is_asked(old):
        raise UsageError("NEW is missing: it is required unless OLD is REV:path")
    if path.startswith(("./", "../")):
        return path
    there = os.path.relpath(os.path.join(repository(".") or ".", path))
    # Such a name would be read as a revision, or as standard input.
    return f"./{there}" if ":" in there or there.startswith("-") else there


def _is_directory(side: str) -> bool:
    if side in ("-", NOTHING):
        return False
    return revision.is_directory(side) if revision.is_asked(side) else os.path.isdir(side)


def _of_directories(args: Namespace) -> int:
    from krunc_compiler.verbs.fleet_diff import run as compared

    for side in (args.old, args.new):
        if side != NOTHING and not _is_directory(side):
            if side != "-":
                text_of(side)  # what is not there at all is told as that
            raise UsageError(f"{side} is not a directory, and the other side is one")
    if args.names:
        raise UsageError("--names is for plans, not for directories")
    return compared(args.old, args.new, args.format)


def _directories(args: Namespace) -> tuple[str, str] | None:
    """Tell where both plans are, seen from the top of their repository, when that is known and not
    the same."""
    if args.names:
        old, new = (os.path.normpath(os.path.dirname(one) or ".") for one in args.names)
        return (old, new) if old != new else None
    places = [directory for one in (args.old, args.new) if (directory := directory_of(one))]
    tops = {repository(one) for one in places}
    # Copies elsewhere, as git makes them, are of no directory.
    if len(set(places)) < 2 or len(tops) > 1 or (top := tops.pop()) is None:
        return None
    return os.path.relpath(places[0], top), os.path.relpath(places[1], top)


def _compared(plans: list[Plan | None], directories: tuple[str, str] | None) -> Difference:
    """Compare both; relative paths of plans in different DIRECTORIES are seen from the top."""
    reviews = [review(plan) if plan else None for plan in plans]
    if directories is None or None in plans:
        return compare(*reviews)
    seen = [
        moved(plan, way) if plan else None for plan, way in zip(plans, directories, strict=True)
    ]
    if seen == plans:
        return compare(*reviews)
    difference = compare(
        *(
            review(plan)._replace(digest=one.digest) if plan and one else None
            for plan, one in zip(seen, reviews, strict=True)
        )
    )
    if not difference.changes:
        return difference
    text = (
        "the plans are in different directories; paths are shown as seen from the repository's top"
    )
    return difference._replace(
        changes=(*difference.changes, Change("neutral", "metadata", text, ""))
    )


def _both(args: Namespace) -> list[Plan | None]:
    """Return both sides. A box that names no target is compiled for that of the plan on the other
    side, if any."""
    texts: list[tuple[str, str] | None] = []
    plans: list[Plan | None] = []
    findings: list[Located] = []
    for argument in (args.old, args.new):
        text, plan = None, None
        try:
            text = text_of(argument) if argument != NOTHING else None
            plan = read_plan(*text) if text and not is_box(*text) else None
        except Rejected as rejected:
            findings += rejected.findings
        texts.append(text)
        plans.append(plan)
    targets = [plan.target for plan in plans if plan]
    other = api.target(targets[0]) if targets else None
    given = inputs(args)._replace(kept=lambda name, is_matrix: other)
    for i, text in enumerate(texts):
        try:
            if text and is_box(*text):
                plans[i] = compiled(*text, given)
        except Rejected as rejected:
            findings += rejected.findings
    if findings:
        raise Rejected(findings)
    return plans
