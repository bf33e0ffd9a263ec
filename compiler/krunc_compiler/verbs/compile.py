"""krunc compile: boxes to plans."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from krunc_compiler.files.sha256 import for_many
from krunc_compiler.files.stopping import Cleaned, unstopped
from krunc_compiler.files.within import ANYWHERE, around
from krunc_compiler.files.writing import (
    new_mark,
    remove_empty,
    settle,
    sweep,
    write,
)
from krunc_compiler.findings.finding import Located, Rejected, ordered
from krunc_compiler.findings.report import coloured, only, printable, report, summary
from krunc_compiler.pipeline.batch import Done, Job, Made, Work, compile_file, unwritten
from krunc_compiler.pipeline.existing import PLAN_MARK
from krunc_compiler.pipeline.parallel import MANY, spread
from krunc_compiler.rules.collisions import collisions
from krunc_compiler.verbs.compile_jobs import (
    check_output,
    files_of,
    is_directory,
    jobs_of,
    made_directory,
    others,
    tell_people,
)
from krunc_compiler.verbs.options import add_allowed, add_findings_format, add_inputs, inputs

if TYPE_CHECKING:
    from krunc_compiler.pipeline.unchanged import Earlier

EXAMPLES = """\
examples:
  krunc compile boxes/web.yaml             writes boxes/web.plan.json
  krunc compile boxes                      every box in the directory
  krunc compile boxes -o plans/            into another directory, which is made
  krunc compile web.yaml -o -              the plan on standard output
  krunc compile - <web.yaml                from standard input to standard output
  krunc compile --check boxes              fails when a committed plan is out of date
  krunc compile web.yaml --target 2 --set port=9090
  krunc compile boxes --check --format github    annotations for a pull request

Findings as text go to standard error; json, github and sarif go to standard output, unless a plan
goes there: then to standard error too. Warnings do not change the exit status.

Which plans many boxes made is remembered below ~/.cache/krunc: where neither has changed, they are
not compiled again. --check always compiles.

exit codes: 0 success, 1 a box is wrong or a plan is out of date, 2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("boxes", nargs="+", metavar="BOX", help="a box, a directory of boxes, or -")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|DIR/|-",
        help="where the plan goes; DIR/ is made; default: beside the box, NAME.plan.json for "
        "NAME.yaml, or for each box NAME of a matrix",
    )
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print only what is wrong, and a plan whose target changes",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when a plan is not what its box compiles to",
    )
    add_findings_format(parser)
    parser.add_argument(
        "--warnings-as-errors", action="store_true", help="write nothing when there are warnings"
    )
    parser.add_argument(
        "--this-host",
        action="store_true",
        help="warn about what this host does not have: CPUs, memory, files, the program in a root "
        "directory",
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
    named = [*args.vars, args.output] if args.output else args.vars
    within = around(args.boxes, named, args.allow_outside) if is_bounded else ANYWHERE
    files = [path for given in args.boxes for path in files_of(given, within)]
    if len(files) >= MANY:
        for_many()
    earlier = _earlier(args, files)
    unchanged = earlier.plans() if earlier is not None else None
    if unchanged is not None:
        tell_people(args, "".join(map(_unchanged, unchanged)))
        return 0
    jobs = jobs_of(args, files, others(args, files, earlier, within))
    mark = None if args.check else new_mark()
    work = Work(inputs(args, within), mark, args.this_host, args.unstarted)
    made_directories: list[str] = []

    def swept() -> None:
        for directory in {
            job.directory for job in jobs if job.directory is not None and mark is not None
        }:
            sweep(directory, str(mark))
        remove_empty(made_directories)

    with Cleaned(swept):
        if mark is not None and is_directory(args.output):
            with unstopped():
                made_directories += made_directory(args.output)
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
    check_output(made, args.output)
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
    with unstopped():
        for one in made:
            _settle(one, mark)
    for one in made:
        said = _put(one)
        if not args.quiet or _moved(one):
            sys.stderr.write(said)
    if args.format == "text" and not args.quiet:
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


def _settle(made: Made, mark: str) -> None:
    """Put a plan that is staged where it belongs. Raises Rejected."""
    if made.path is None or made.text or not made.staged:
        return
    try:
        settle(made.path, mark)
    except OSError as error:
        raise Rejected(only(made.path, unwritten(error))) from None


def _put(made: Made) -> str:
    """Write a plan that goes into no file of its own; what there is to say about any."""
    if made.path is None:
        sys.stdout.write(made.text)
        return ""
    if made.text:
        return _written(made.path, made.text)
    if not made.staged:
        return _unchanged(made.path)
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
