"""krunc compile: boxes to plans."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from functools import partial
from typing import NamedTuple

from krunc_compiler import lints
from krunc_compiler.boxfiles import below, is_box, is_yaml, plan_file
from krunc_compiler.claims import Claims, claims, collisions
from krunc_compiler.compiling import Compiled, Inputs, compile_all
from krunc_compiler.findings import Finding, Located, Rejected, UsageError, ordered
from krunc_compiler.plan import to_text
from krunc_compiler.reporting import coloured, only, printable, report, summary
from krunc_compiler.source import read
from krunc_compiler.spread import at_once, spread
from krunc_compiler.verbs.options import add_inputs, inputs
from krunc_compiler.writing import write

EXAMPLES = """\
examples:
  krunc compile boxes/web.yaml             writes boxes/web.plan.json
  krunc compile boxes                      every box in the folder
  krunc compile web.yaml -o -              the plan on standard output
  krunc compile - <web.yaml                from standard input to standard output
  krunc compile --check boxes              fails when a committed plan is out of date
  krunc compile web.yaml --target 2 --set port=9090
  krunc compile boxes --check --format github    annotations for a pull request

Findings as text go to standard error; json, github and sarif go to standard output, unless a plan
goes there: then to standard error too. Warnings do not change the exit status.

exit status: 0 well, 1 a box is wrong or a plan is out of date, 2 wrong usage
"""


class _Job(NamedTuple):
    box: str
    folder: str | None  # of the plans; None: standard output
    file: str | None  # the plan's name, when the command line tells it

    def plan(self, compiled: Compiled) -> str | None:
        """The file of a plan; None: standard output."""
        if self.folder is None:
            return None
        if self.file is not None:
            return os.path.join(self.folder, self.file)
        name = plan_file(self.box, compiled.plan.box if compiled.is_matrix else None)
        return os.path.join(self.folder, os.path.basename(name))


class _Made(NamedTuple):
    job: _Job
    plan: str | None
    text: str


class _Done(NamedTuple):
    """What came of a file: small, for there may be many."""

    made: list[_Made]
    findings: list[Located]
    claims: list[Claims]


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("boxes", nargs="+", metavar="BOX", help="a box, a folder of boxes, or -")
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
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Compile everything, then write everything or nothing."""
    jobs = _jobs(args)
    made: list[_Made] = []
    findings: list[Located] = []
    claimed: list[Claims] = []
    for done in spread(partial(_compile, inputs(args), args.this_host), jobs):
        made += done.made
        findings += done.findings
        claimed += done.claims
    _distinct(made, args.output)
    findings += collisions(claimed)
    failed = any(args.warnings_as_errors or not item.finding.warning for item in findings)
    if args.check:
        differs = [item for one in made for item in _compare(one, args.format)]
        findings += differs
        failed = failed or bool(differs)
    if findings or args.format != "text":
        _tell(findings, args.format, any(job.folder is None for job in jobs))
    if failed:
        return 1
    if not args.check:
        for state in at_once(_written, made):
            sys.stderr.write(state)
    return 0


def _tell(findings: list[Located], form: str, plan_on_stdout: bool) -> None:
    if form == "text":
        sys.stderr.write(report(findings, coloured(sys.stderr)))
        return
    from krunc_compiler.formats import formatted  # URLs and XML take as long to import as a compile

    stream = sys.stderr if plan_on_stdout else sys.stdout
    stream.write(formatted(findings, form))
    if findings and stream is sys.stdout:
        sys.stderr.write(f"krunc: {summary(ordered(findings))}\n")


def _compile(given: Inputs, this_host: bool, job: _Job) -> _Done:
    try:
        compiled, findings = compile_all(*read(job.box), _seen_from(job, given))
    except Rejected as rejected:
        return _Done([], rejected.findings, [])
    if this_host:
        findings += _of_this_host(compiled)
    return _Done(
        [_Made(job, job.plan(one), to_text(one.plan)) for one in compiled],
        findings,
        [claims(one.box, one.source, one.allowed) for one in compiled],
    )


def _of_this_host(boxes: list[Compiled]) -> list[Located]:
    cpus = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return [
        Located(one.source, finding)
        for one in boxes
        for finding in lints.check_host(one.box, cpus, memory)
        if finding.code not in one.allowed
    ]


def _jobs(args: Namespace) -> list[_Job]:
    boxes = [box for given in args.boxes for box in _boxes(given)]
    if len(boxes) > 1 and args.output is not None and not os.path.isdir(args.output):
        raise UsageError(f"{len(boxes)} boxes and one output: -o takes a folder then")
    jobs = [_job(box, args.output) for box in boxes]
    if args.check and any(job.folder is None for job in jobs):
        raise UsageError("--check compares with a file: name the box, or the plan with -o")
    if len({os.path.normpath(box) for box in boxes}) < len(boxes):
        raise UsageError("a box is named twice")
    return jobs


def _distinct(made: list[_Made], output: str | None) -> None:
    """Raise UsageError when two plans would have one place."""
    plans = Counter(one.plan for one in made)
    for plan, count in plans.items():
        if count > 1:
            if output is None or os.path.isdir(output):
                raise UsageError(f"two boxes would be written to {plan}")
            raise UsageError(
                f"{count} boxes of a matrix and one output: -o takes a folder then, or "
                "choose one with --box"
            )


def _boxes(given: str) -> list[str]:
    if given == "-" or not os.path.isdir(given):
        return [given]
    found = []
    for path in filter(is_yaml, below(given)):
        if is_box(path):
            found.append(path)
        else:
            sys.stderr.write(f"krunc: skipped {printable(path)}: no `krunc:` key at its left\n")
    if not found:
        raise UsageError(f"no box in the folder {given}: boxes are .yaml files with `krunc: 1`")
    return found


def _job(box: str, output: str | None) -> _Job:
    if output == "-" or (output is None and box == "-"):
        return _Job(box, None, None)
    if output is None:
        return _Job(box, os.path.dirname(box), None)
    if os.path.isdir(output):
        return _Job(box, output, None)
    return _Job(box, *os.path.split(output))


def _seen_from(job: _Job, given: Inputs) -> Inputs:
    if job.folder is None:
        return given
    home = "." if job.box == "-" else os.path.dirname(job.box) or "."
    # realpath: relpath of two names of one folder is only then the way between them.
    return given.seen_from(os.path.relpath(os.path.realpath(home), os.path.realpath(job.folder)))


def _compare(made: _Made, form: str) -> list[Located]:
    job, plan, text = made
    assert plan is not None
    try:
        with open(plan, encoding="utf-8", errors="replace") as file:
            old = file.read()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        finding = Finding("KR301", f"the plan cannot be read: {why}", hint="krunc compile makes it")
        return only(plan, finding)
    if old == text:
        return []
    from difflib import unified_diff

    lines = unified_diff(
        old.splitlines(),
        text.splitlines(),
        plan,
        f"what {job.box} compiles to",
        "",
        "",
        0,
        "",
    )
    # A machine's format has standard output for itself.
    stream = sys.stdout if form == "text" else sys.stderr
    stream.write("".join(printable(line) + "\n" for line in lines))
    message = f"this is not what {job.box} compiles to"
    finding = Finding("KR301", message, hint="run krunc compile and review the difference")
    return only(plan, finding)


def _written(made: _Made) -> str:
    """Write a plan; what there is to say about it."""
    _, plan, text = made
    if plan is None:
        sys.stdout.write(text)
        return ""
    try:
        changed = write(plan, text)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        finding = Finding("KR302", f"the plan cannot be written: {why}")
        raise Rejected(only(plan, finding)) from None
    return f"krunc: {'wrote' if changed else 'unchanged:'} {printable(plan)}\n"
