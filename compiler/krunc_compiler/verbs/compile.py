"""krunc compile: boxes to plans."""

from __future__ import annotations

import difflib
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from krunc_compiler.compiling import Inputs, compile_box
from krunc_compiler.findings import Finding, Located, Rejected, UsageError
from krunc_compiler.plan import to_text
from krunc_compiler.reporting import only, printable, report
from krunc_compiler.source import read
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

exit status: 0 well, 1 a box is wrong or a plan is out of date, 2 wrong usage
"""
ENDING = ".plan.json"


class _Job(NamedTuple):
    box: str
    plan: Path | None  # None: standard output


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("boxes", nargs="+", metavar="BOX", help="a box, a folder of boxes, or -")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="where the plan goes; default: beside the box, NAME.plan.json for NAME.yaml",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when a plan is not what its box compiles to",
    )
    add_inputs(parser)


def run(args: Namespace) -> int:
    """Compile everything, then write everything or nothing."""
    given = inputs(args)
    texts: list[tuple[_Job, str]] = []
    findings: list[Located] = []
    for job in _jobs(args):
        try:
            texts.append((job, _compile(job, given)))
        except Rejected as rejected:
            findings += rejected.findings
    if args.check:
        for job, text in texts:
            findings += _compare(job, text)
    if findings:
        sys.stderr.write(report(findings))
        return 1
    if not args.check:
        for job, text in texts:
            _write(job, text)
    return 0


def _jobs(args: Namespace) -> list[_Job]:
    boxes = [box for given in args.boxes for box in _boxes(given)]
    if len(boxes) > 1 and args.output is not None and not os.path.isdir(args.output):
        raise UsageError(f"{len(boxes)} boxes and one output: -o takes a folder then")
    jobs = [_Job(box, _plan_of(box, args.output)) for box in boxes]
    plans = [job.plan for job in jobs if job.plan is not None]
    for plan in plans:
        if plans.count(plan) > 1:
            raise UsageError(f"two boxes would be written to {plan}")
    if args.check and any(job.plan is None for job in jobs):
        raise UsageError("--check compares with a file: name the box, or the plan with -o")
    return jobs


def _boxes(given: str) -> list[str]:
    if given == "-" or not os.path.isdir(given):
        return [given]
    found = []
    for path in sorted(Path(given).rglob("*")):
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            continue
        if _is_box(path):
            found.append(str(path))
        else:
            sys.stderr.write(
                f"krunc: skipped {printable(str(path))}: no `krunc:` key at its left\n"
            )
    if not found:
        raise UsageError(f"no box in the folder {given}: boxes are .yaml files with `krunc: 1`")
    return found


def _is_box(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return any(line.startswith((b"krunc:", b"{", b'"krunc"')) for line in file)
    except OSError:
        return True  # it is reported when it is compiled


def _plan_of(box: str, output: str | None) -> Path | None:
    if output == "-" or (output is None and box == "-"):
        return None
    name = ("stdin" if box == "-" else Path(box).stem) + ENDING
    if output is None:
        return Path(box).parent / name
    return Path(output) / name if os.path.isdir(output) else Path(output)


def _compile(job: _Job, given: Inputs) -> str:
    name, text = read(job.box)
    home = "." if job.box == "-" else os.path.dirname(job.box) or "."
    # realpath: relpath of two names of one folder is only then the way between them.
    prefix = "."
    if job.plan is not None:
        prefix = os.path.relpath(os.path.realpath(home), os.path.realpath(job.plan.parent))
    return to_text(compile_box(name, text, given.seen_from(prefix)))


def _compare(job: _Job, text: str) -> list[Located]:
    assert job.plan is not None
    try:
        old = job.plan.read_text("utf-8", "replace")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        finding = Finding("KR301", f"the plan cannot be read: {why}", hint="krunc compile makes it")
        return only(str(job.plan), finding)
    if old == text:
        return []
    lines = difflib.unified_diff(
        old.splitlines(),
        text.splitlines(),
        str(job.plan),
        f"what {job.box} compiles to",
        "",
        "",
        0,
        "",
    )
    sys.stdout.write("".join(printable(line) + "\n" for line in lines))
    message = f"this is not what {job.box} compiles to"
    return only(
        str(job.plan), Finding("KR301", message, hint="run krunc compile and review the difference")
    )


def _write(job: _Job, text: str) -> None:
    if job.plan is None:
        sys.stdout.write(text)
        return
    try:
        changed = write(job.plan, text)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        finding = Finding("KR302", f"the plan cannot be written: {why}")
        raise Rejected(only(str(job.plan), finding)) from None
    state = "wrote" if changed else "unchanged:"
    sys.stderr.write(f"krunc: {state} {printable(str(job.plan))}\n")
