"""krunc show: a plan for a reader."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.findings.finding import UsageError
from krunc_compiler.review.document import review_document
from krunc_compiler.review.markdown import to_markdown
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text
from krunc_compiler.verbs.options import add_inputs, inputs
from krunc_compiler.verbs.reviewed import add_format, is_box, plan_of, terminal, text_of

EXAMPLES = """\
examples:
  krunc show boxes/web.plan.json           a plan, as committed
  krunc show boxes/web.yaml --target 2     a box: compiled, nothing is written
  krunc show main:boxes/web.plan.json      a plan at a revision, as git names it
  krunc show web.plan.json --format html >web.html
  krunc show web.plan.json --format json | jq '.host_access[].text'
  krunc show --effective web.yaml          the box as understood, and where each value is from
  krunc compile web.yaml -o - | krunc show -

`krunc schema review` describes the JSON.

exit codes: 0 success, 1 the input is wrong, 2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "file", metavar="PLAN|BOX", help="a plan, a box (.yaml), REV:path, or - for either"
    )
    add_format(parser, ("text", "markdown", "html", "json"))
    parser.add_argument(
        "--effective",
        action="store_true",
        help="instead of the review, the whole box as YAML: every default, and for each value the "
        "line of a box, variable or default that it comes from",
    )
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Print the review of one plan."""
    if args.effective:
        return _effective(args)
    found = review(plan_of(args.file, inputs(args), args.verify))
    match args.format:
        case "json":
            sys.stdout.write(json.dumps(review_document(found), indent=1) + "\n")
        case "markdown":
            # Whole: as git's textconv it must not leave out what changed.
            sys.stdout.write(to_markdown(plan_sheet(found), sys.maxsize))
        case "html":
            from krunc_compiler.review.page import plan_page

            sys.stdout.write(plan_page(found))
        case _:
            sys.stdout.write(to_text(plan_sheet(found), *terminal()))
    return 0


def _effective(args: Namespace) -> int:
    from krunc_compiler.pipeline.effective import effective

    name, text = text_of(args.file)
    if not is_box(name, text):
        raise UsageError(f"--effective is for boxes; {name} is a plan")
    if args.format != "text":
        raise UsageError("--effective writes YAML; it cannot be combined with --format")
    sys.stdout.write(effective(name, text, inputs(args)))
    return 0
