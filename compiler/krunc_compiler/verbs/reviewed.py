"""The plans that a review is about: of a file, standard input, or a revision of a repository."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from krunc_compiler.files import git as revision
from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.files.source import read
from krunc_compiler.files.within import repository
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import coloured, columns
from krunc_compiler.plan.plan import Plan, to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.plan.refusal import Verifier, refused
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.values.kind import kind_of_text

NOTHING = "/dev/null"


def add_format(parser: ArgumentParser, formats: tuple[str, ...]) -> None:
    """--format, of which the first is the default."""
    parser.add_argument(
        "--format",
        choices=formats,
        default=formats[0],
        metavar="FORM",
        help=f"how it is written: {', '.join(formats)} (default: {formats[0]})",
    )


def plan_of(argument: str, inputs: Inputs, verify: Verifier | None = None) -> Plan:
    """Return the plan that ARGUMENT names: a plan or a box, in a file, on standard input (-), or at
    a revision (REV:path, as git has it). A box is compiled. Raises Rejected and UsageError, also
    for what VERIFY, the launcher's, refuses."""
    name, text = text_of(argument)
    box = is_box(name, text)
    plan = compiled(name, text, inputs) if box else read_plan(name, text)
    wrong = refused(verify, name, (to_text(plan) if box else text).encode("utf-8", "replace"))
    if wrong:
        raise Rejected(wrong)
    return plan


def compiled(name: str, text: str, inputs: Inputs) -> Plan:
    """Return the plan of a box, read again so that a box and its plan are reviewed alike."""
    from krunc_compiler.pipeline.compiling import compile_box  # a plan needs none of it

    return read_plan(name, to_text(compile_box(name, text, inputs)))


def is_box(name: str, text: str) -> bool:
    """Tell whether this is a box: by its text, else by its name, else because a plan starts with a
    {."""
    found = kind_of_text(name, text).kind
    if found != "neither":
        return found == "box"
    if is_box_name(name):
        return True
    return not name.endswith(".json") and not text.lstrip().startswith("{")


def text_of(argument: str) -> tuple[str, str]:
    """Return the name and the text of what ARGUMENT names. Raises Rejected and UsageError."""
    if revision.is_asked(argument):
        return argument, revision.read(argument)
    return read(argument)


def directory_of(argument: str) -> str | None:
    """Return the real directory of what ARGUMENT names; None for standard input and what is not
    there."""
    if argument in ("-", NOTHING):
        return None
    path = argument
    if revision.is_asked(argument):
        path = argument.partition(":")[2]
        if not path.startswith(("./", "../")):
            path = os.path.join(repository(".") or ".", path)
    return os.path.realpath(os.path.dirname(path))


def terminal() -> tuple[int, bool]:
    """Return the columns of standard output and whether it may have colours."""
    return (columns() if sys.stdout.isatty() else 80), coloured(sys.stdout)
