"""krunc show: a plan for a reader."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.compiling import compile_box
from krunc_compiler.plan import Plan, to_text
from krunc_compiler.reading import read_plan
from krunc_compiler.review.text import show
from krunc_compiler.source import read
from krunc_compiler.verbs.options import add_inputs, inputs

EXAMPLES = """\
examples:
  krunc show boxes/web.plan.json           a plan, as committed
  krunc show boxes/web.yaml --target 2     a box: compiled, nothing is written
  krunc compile web.yaml -o - | krunc show -

exit status: 0 well, 1 the input is wrong, 2 wrong usage
"""


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", metavar="PLAN|BOX", help="a plan, a box (.yaml), or - for either")
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Print the review of one plan."""
    name, text = read(args.file)
    is_box = name.endswith((".yaml", ".yml")) or (
        args.file == "-" and not text.lstrip().startswith("{")
    )
    plan: Plan
    if is_box:
        plan = read_plan(name, to_text(compile_box(name, text, inputs(args))))
    else:
        plan = read_plan(name, text)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(show(plan, colour))
    return 0
