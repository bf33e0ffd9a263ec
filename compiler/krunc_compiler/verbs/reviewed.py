"""The plans that a review is about: of a file, standard input, or a revision of a repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser

from krunc_compiler.compiling import Inputs, compile_box
from krunc_compiler.findings import Finding, Rejected, UsageError
from krunc_compiler.plan import Plan, to_text
from krunc_compiler.reading import read_plan
from krunc_compiler.reporting import only
from krunc_compiler.source import decode, read

NOTHING = "/dev/null"


def add_format(parser: ArgumentParser, formats: tuple[str, ...]) -> None:
    """--format, of which the first is the default."""
    parser.add_argument(
        "--format",
        choices=formats,
        default=formats[0],
        help=f"how it is written: {', '.join(formats)} (default: {formats[0]})",
    )


def plan_of(argument: str, inputs: Inputs) -> Plan:
    """The plan that ARGUMENT names: a plan or a box, in a file, on standard input (-), or at a
    revision (REV:path, as git has it). A box is compiled. Raises Rejected and UsageError."""
    name, text = text_of(argument)
    return compiled(name, text, inputs) if is_box(name, text) else read_plan(name, text)


def compiled(name: str, text: str, inputs: Inputs) -> Plan:
    """The plan of a box, read again so that a box and its plan are reviewed alike."""
    return read_plan(name, to_text(compile_box(name, text, inputs)))


def is_box(name: str, text: str) -> bool:
    """Whether this is a box: by the ending of its NAME, else because a plan starts with a {."""
    if name.endswith((".yaml", ".yml")):
        return True
    return not name.endswith(".json") and not text.lstrip().startswith("{")


def text_of(argument: str) -> tuple[str, str]:
    """The name and the text of what ARGUMENT names. Raises Rejected and UsageError."""
    revision, colon, path = argument.partition(":")
    if argument == "-" or os.path.exists(argument) or not (colon and revision and path):
        return read(argument)
    if argument.startswith("-"):
        raise UsageError(f"{argument}: a revision does not start with -")
    git = shutil.which("git")
    if git is None:
        raise UsageError(f"{argument}: there is no such file, and no git to ask for a revision")
    done = subprocess.run([git, "cat-file", "blob", argument], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        finding = Finding(
            "KR001",
            f"neither a file nor in git: {said}",
            hint="REV:path starts at the top of the repository, REV:./path at this folder",
        )
        raise Rejected(only(argument, finding))
    return argument, decode(argument, done.stdout)


def terminal() -> tuple[int, bool]:
    """The columns of standard output and whether it may have colours."""
    if not sys.stdout.isatty():
        return 80, False
    return shutil.get_terminal_size().columns, not os.environ.get("NO_COLOR")
