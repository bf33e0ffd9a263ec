"""krunc digest: the digest of what a plan means."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.files.source import read
from krunc_compiler.findings.finding import Located, Rejected
from krunc_compiler.findings.report import printable
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan

EXAMPLES = """\
examples:
  krunc digest boxes/*.plan.json >approved     one line a plan: sha256:HEX  NAME
  krunc digest - <web.plan.json

The digest covers what a plan does: neither layout, nor the order of keys, nor the keys of the box
from which the operations come. docs/review.md has the algorithm.

exit status: 0 well, 1 the input is wrong, 2 wrong usage
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("plans", nargs="+", metavar="PLAN", help="a plan, or - for standard input")


def run(args: Namespace) -> int:
    """Print a line for each plan, or nothing when one is wrong."""
    lines = []
    findings: list[Located] = []
    for path in args.plans:
        try:
            plan = read_plan(*read(path))
            lines.append(f"{digest(json.loads(to_text(plan)))}  {printable(path)}\n")
        except Rejected as rejected:
            findings += rejected.findings
    if findings:
        raise Rejected(findings)
    sys.stdout.write("".join(lines))
    return 0
