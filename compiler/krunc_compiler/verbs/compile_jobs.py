"""The files that krunc compile takes for boxes, and where their plans go."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from krunc_compiler.files.boxfiles import below, is_box_name
from krunc_compiler.files.within import Within
from krunc_compiler.files.writing import make_directory
from krunc_compiler.findings.finding import Finding, Rejected, UsageError
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.pipeline.batch import Job, Made

if TYPE_CHECKING:
    from krunc_compiler.pipeline.unchanged import Earlier
    from krunc_compiler.values.kind import Seen


def files_of(given: str, within: Within) -> list[str]:
    """Return GIVEN, or what in the directory GIVEN may be a box by its name. Raises Rejected when
    the directory is not WITHIN what may be read."""
    if given == "-" or not os.path.isdir(given):
        if os.path.isfile(given) and not is_box_name(given):
            if given.endswith(".plan.json"):
                raise UsageError(f"{given} is a plan already; start it with krunc launch {given}")
            # krunc check would not find it.
            way_out = "rename it, or give it as standard input: krunc compile -"
            raise UsageError(f"{given}: a box is called NAME.yaml or NAME.yml; {way_out}")
        return [given]
    within.admit(given)
    tree = below(given)
    if tree.closed:
        from krunc_compiler.files.tree import unlisted

        raise Rejected([one for path, said in tree.closed for one in unlisted(path, said)])
    found = list(filter(is_box_name, [*tree.files, *tree.odd]))
    if not found:
        raise UsageError(f"no box in the directory {given}: boxes are .yaml files with `krunc: 1`")
    return found


def others(
    args: Namespace, files: list[str], earlier: Earlier | None, within: Within
) -> dict[str, Seen]:
    """Return those of FILES that are no boxes; what is named is one, and may be a pipe."""
    named = set(args.boxes)
    if earlier is not None:  # it has read them
        return {path: seen for path, seen in earlier.others.items() if path not in named}
    unnamed = [path for path in files if path not in named]
    if not unnamed:
        return {}
    from krunc_compiler.values.kind import kind_of_file

    seen = {path: kind_of_file(path, within) for path in unnamed}
    return {path: one for path, one in seen.items() if one.kind != "box"}


def jobs_of(args: Namespace, files: list[str], found: dict[str, Seen]) -> list[Job]:
    """Return what is to be compiled of FILES, of which those in FOUND are no boxes. Raises
    UsageError."""
    boxes = []
    for path in files:
        if path not in found:
            boxes.append(path)
        else:
            why = found[path].why or "it is a plan"
            tell_people(args, f"krunc: skipped {printable(path)}: {why}\n")
    if not boxes:
        raise UsageError(f"no box in {' '.join(args.boxes)}: boxes are .yaml files with `krunc: 1`")
    into_directory = is_directory(args.output)
    if len(boxes) > 1 and args.output is not None and not into_directory:
        raise UsageError(f"{len(boxes)} boxes and one output: {_name_a_directory(args.output)}")
    jobs = [_job(box, args.output, into_directory) for box in boxes]
    if args.check and any(job.directory is None for job in jobs):
        raise UsageError("--check compares with a file: name the box, or the plan with -o")
    if len({os.path.normpath(box) for box in boxes}) < len(boxes):
        raise UsageError("a box is named twice")
    return jobs


def _job(box: str, output: str | None, into_directory: bool) -> Job:
    if output == "-" or (output is None and box == "-"):
        return Job(box, None, None)
    if output is None:
        return Job(box, os.path.dirname(box), None)
    return Job(box, output, None) if into_directory else Job(box, *os.path.split(output))


def check_output(made: list[Made], output: str | None) -> None:
    """Raise UsageError when several plans would go into the one file OUTPUT, or to
    standard output."""
    together = len(made)
    if output is None or is_directory(output):
        together = sum(one.path is None for one in made)
    if together > 1:
        raise UsageError(
            f"{together} boxes of a matrix and one output: {_name_a_directory(output or '-')}, or "
            "choose one with --box"
        )


def is_directory(output: str | None) -> bool:
    """Tell whether OUTPUT names a directory: one that is there, or one to be made."""
    return output is not None and (output.endswith("/") or os.path.isdir(output))


def made_directory(output: str) -> list[str]:
    """Make the directory OUTPUT; return those that were made for it. Raises Rejected."""
    try:
        return make_directory(output)
    except OSError as error:
        finding = Finding("KR302", f"the directory cannot be made: {why(error)}")
        raise Rejected(only(output, finding)) from None


def _name_a_directory(output: str) -> str:
    """Tell how -o OUTPUT is written for a directory."""
    if output == "-" or os.path.exists(output):
        return "name a directory, as in -o plans/"
    return f"for a directory write -o {printable(output)}/"


def tell_people(args: Namespace, text: str) -> None:
    """Write TEXT, which is about nothing that is wrong, unless ARGS ask for quiet."""
    if not args.quiet:
        sys.stderr.write(text)
