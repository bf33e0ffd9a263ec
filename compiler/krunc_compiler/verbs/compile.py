"""krunc compile: boxes to plans."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from krunc_compiler.files.boxfiles import below, is_box_name
from krunc_compiler.files.sha256 import for_many
from krunc_compiler.files.stopping import Cleaned
from krunc_compiler.files.within import ANYWHERE, Within, around
from krunc_compiler.files.writing import new_mark, settle, sweep, write
from krunc_compiler.findings.finding import Located, Rejected, UsageError, ordered
from krunc_compiler.findings.report import coloured, only, printable, report, summary
from krunc_compiler.pipeline.batch import Done, Job, Made, Work, compile_file, unwritten
from krunc_compiler.pipeline.existing import PLAN_MARK
from krunc_compiler.pipeline.parallel import MANY, spread
from krunc_compiler.rules.collisions import collisions
from krunc_compiler.values.kind import Seen, kind_of_file
from krunc_compiler.verbs.options import add_allowed, add_inputs, inputs

if TYPE_CHECKING:
    from krunc_compiler.pipeline.unchanged import Earlier

EXAMPLES = """\
examples:
  krunc compile boxes/web.yaml             writes boxes/web.plan.json
  krunc compile boxes                      every box in the directory
  krunc compile web.yaml -o -              the plan on standard output
  krunc compile - <web.yaml                from standard input to standard output
  krunc compile --check boxes              fails when a committed plan is out of date
  krunc compile web.yaml --target 2 --set port=9090
  krunc compile boxes --check --format github    annotations for a pull request

Findings as text go to standard error; json, github and sarif go to standard output, unless a plan
goes there: then to standard error too. Warnings do not change the exit status.

Which plans many boxes made is remembered below ~/.cache/krunc: where neither has changed, they are
not compiled again. --check always compiles.

exit status: 0 well, 1 a box is wrong or a plan is out of date, 2 wrong usage
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("boxes", nargs="+", metavar="BOX", help="a box, a directory of boxes, or -")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="where the plan goes; default: beside the box, NAME.plan.json for NAME.yaml, or "
        "for each box NAME of a matrix",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when a plan is not what its box compiles to",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "github", "sarif"),
        default="text",
        help="how findings are written",
    )
    parser.add_argument(
        "--warnings-as-errors", action="store_true", help="write nothing when there are warnings"
    )
    parser.add_argument(
        "--this-host", action="store_true", help="warn about what this host does not have"
    )
    parser.add_argument(
        "--inside",
        action="store_true",
        help="read nothing outside of the repository, as --check does: for boxes of strangers",
    )
    add_allowed(parser, "with --check or --inside: ")
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Compile everything, then write everything or nothing."""
    # What CI asks about is a stranger's; what a person compiles may extend what it names.
    is_bounded = args.check or args.inside
    within = around(args.boxes, args.vars, args.allow_outside) if is_bounded else ANYWHERE
    files = [path for given in args.boxes for path in _files(given, within)]
    if len(files) >= MANY:
        for_many()
    earlier = _earlier(args, files)
    unchanged = earlier.plans() if earlier is not None else None
    if unchanged is not None:
        sys.stderr.write("".join(map(_unchanged, unchanged)))
        return 0
    jobs = _jobs(args, files, _others(args, files, earlier, within))
    mark = None if args.check else new_mark()
    work = Work(inputs(args, within), mark, args.this_host)

    def swept() -> None:
        for directory in {
            job.directory for job in jobs if job.directory is not None and mark is not None
        }:
            sweep(directory, str(mark))

    with Cleaned(swept):
        with closing(spread(partial(compile_file, work), jobs)) as results:
            done = list(results)
        status, made = _finished(args, done, jobs, mark)
        # What is no box is told of in each run.
        if made and earlier is not None and len(jobs) == len(files):
            earlier.remember({str(one.path): one.digest for one in made})
    return status


def _finished(
    args: Namespace, done: list[Done], jobs: list[Job], mark: str | None
) -> tuple[int, list[Made]]:
    """Tell of all that was done, and keep the plans that are staged when it is well. The exit
    status, and the plans when nothing but their boxes could change them or what was told."""
    made = [item for one in done for item in one.made]
    claimed = [item for one in done for item in one.claims]
    _distinct(made, args.output)
    findings = [item for one in done for item in one.findings] + collisions(claimed)
    if args.check:
        # A machine's format has standard output for itself.
        stream = sys.stdout if args.format == "text" else sys.stderr
        stream.write("".join(one.text for one in made))
    if findings or args.format != "text":
        _tell(findings, args.format, any(job.directory is None for job in jobs))
    if any(args.warnings_as_errors or not item.finding.warning for item in findings):
        return 1, []
    if mark is None:
        return 0, []
    sys.stderr.write("".join(_settled(one, mark) for one in made))
    if args.format == "text":
        sys.stderr.write(_unlike_this_host(args, [one for one in made if one.assumed]))
    depends = bool(findings) or any(one.source.extends or one.has_lock for one in claimed)
    return 0, [] if depends else made


def _unlike_this_host(args: Namespace, made: list[Made]) -> str:
    """Tell that this host's libkrun is not the one for which plans were MADE that nobody has named
    one for."""
    found = args.installed() if made and args.installed is not None else None
    if found is None or found.family == made[0].target:
        return ""
    few = f" and {len(made) - 1} more" if len(made) > 1 else ""
    plan = printable(made[0].path or "the plan")
    return (
        f"krunc: note: {plan}{few}: for libkrun {made[0].target}.x, and this host has "
        f"{found.name}; for that one write `target: {found.family}` in the box, or use "
        f"--target {found.family}\n"
    )


def _earlier(args: Namespace, files: list[str]) -> Earlier | None:
    """Return the run before this one, where there are so many files that it is worth a look."""
    if len(files) < MANY or args.check or args.inside or args.this_host or args.format != "text":
        return None
    if "-" in (*args.boxes, args.output):
        return None
    from krunc_compiler.pipeline.unchanged import Earlier

    words = [args.boxes, args.output, args.target, args.box, args.set, args.vars]
    return Earlier(words, [*files, *args.vars])


def _tell(findings: list[Located], form: str, plan_on_stdout: bool) -> None:
    if form == "text":
        sys.stderr.write(report(findings, coloured(sys.stderr)))
        return
    from krunc_compiler.findings.formats import (
        formatted,  # URLs and XML take as long to import as a compile
    )

    stream = sys.stderr if plan_on_stdout else sys.stdout
    stream.write(formatted(findings, form))
    if findings and stream is sys.stdout:
        sys.stderr.write(f"krunc: {summary(ordered(findings))}\n")


def _others(
    args: Namespace, files: list[str], earlier: Earlier | None, within: Within
) -> dict[str, Seen]:
    """Return those of FILES that are no boxes; what is named is one, and may be a pipe."""
    named = set(args.boxes)
    if earlier is not None:  # it has read them
        return {path: seen for path, seen in earlier.others.items() if path not in named}
    seen = {path: kind_of_file(path, within) for path in files if path not in named}
    return {path: one for path, one in seen.items() if one.kind != "box"}


def _jobs(args: Namespace, files: list[str], others: dict[str, Seen]) -> list[Job]:
    boxes = []
    for path in files:
        if path not in others:
            boxes.append(path)
        else:
            why = others[path].why or "it is a plan"
            sys.stderr.write(f"krunc: skipped {printable(path)}: {why}\n")
    if not boxes:
        raise UsageError(f"no box in {' '.join(args.boxes)}: boxes are .yaml files with `krunc: 1`")
    into_directory = args.output is not None and os.path.isdir(args.output)
    if len(boxes) > 1 and args.output is not None and not into_directory:
        raise UsageError(f"{len(boxes)} boxes and one output: -o takes a directory then")
    jobs = [_job(box, args.output, into_directory) for box in boxes]
    if args.check and any(job.directory is None for job in jobs):
        raise UsageError("--check compares with a file: name the box, or the plan with -o")
    if len({os.path.normpath(box) for box in boxes}) < len(boxes):
        raise UsageError("a box is named twice")
    return jobs


def _distinct(made: list[Made], output: str | None) -> None:
    """Raise UsageError when two plans would have one place."""
    plans = Counter(one.path for one in made)
    for plan, count in plans.items():
        if count > 1:
            if output is None or os.path.isdir(output):
                raise UsageError(f"two boxes would be written to {plan}")
            raise UsageError(
                f"{count} boxes of a matrix and one output: -o takes a directory then, or "
                "choose one with --box"
            )


def _files(given: str, within: Within) -> list[str]:
    """Return GIVEN, or what in the directory GIVEN may be a box by its name. Raises Rejected when
    the directory is not WITHIN what may be read."""
    if given == "-" or not os.path.isdir(given):
        if os.path.isfile(given) and not is_box_name(given):
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


def _job(box: str, output: str | None, into_directory: bool) -> Job:
    if output == "-" or (output is None and box == "-"):
        return Job(box, None, None)
    if output is None:
        return Job(box, os.path.dirname(box), None)
    return Job(box, output, None) if into_directory else Job(box, *os.path.split(output))


def _settled(made: Made, mark: str) -> str:
    """Put a plan where it belongs; what there is to say about it."""
    if made.path is None:
        sys.stdout.write(made.text)
        return ""
    if made.text:
        return _written(made.path, made.text)
    if not made.staged:
        return _unchanged(made.path)
    try:
        settle(made.path, mark)
    except OSError as error:
        raise Rejected(only(made.path, unwritten(error))) from None
    return f"krunc: wrote {printable(made.path)}{_moved(made)}\n"


def _moved(made: Made) -> str:
    """Tell that a plan is for another libkrun than the one before it."""
    if made.before in ("", made.target):
        return ""
    return f" for libkrun {made.target}; the plan before it was for {made.before}"


def _written(plan: str, text: str) -> str:
    """Write a plan into a device or a pipe, or through a link."""
    try:
        changed = write(plan, text, replaces=PLAN_MARK)
    except OSError as error:
        raise Rejected(only(plan, unwritten(error))) from None
    return f"krunc: wrote {printable(plan)}\n" if changed else _unchanged(plan)


def _unchanged(plan: str) -> str:
    return f"krunc: unchanged: {printable(plan)}\n"
