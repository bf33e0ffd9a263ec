"""One file of boxes to its plans: staged beside where they go, compared with what is there, or as
text. What is left of it in memory is small, for there may be many files."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from krunc_compiler.files import writing
from krunc_compiler.files.boxfiles import plan_name
from krunc_compiler.files.contents import contents
from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.files.source import read
from krunc_compiler.findings.finding import Finding, Located, Rejected
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.pipeline.compiling import Compiled, compile_all
from krunc_compiler.plan.plan import to_text
from krunc_compiler.rules import lints
from krunc_compiler.rules.collisions import Claims, claims
from krunc_compiler.values.inputs import Inputs


class Job(NamedTuple):
    """A file of boxes, the folder of its plans (None: standard output), and the plan's name when
    the command line tells it."""

    box: str
    folder: str | None
    file: str | None

    def plan(self, compiled: Compiled) -> str | None:
        """The file of a plan; None: standard output."""
        if self.folder is None:
            return None
        if self.file is not None:
            return os.path.join(self.folder, self.file)
        name = plan_name(self.box, compiled.plan.box if compiled.is_matrix else None)
        return os.path.join(self.folder, name)


class Work(NamedTuple):
    """What is done with each file: MARK stages plans, None compares them with what is there."""

    inputs: Inputs
    mark: str | None
    this_host: bool


class Made(NamedTuple):
    """A plan: its file and, unless it is compared, its digest; whether it is staged there, and the
    text for standard output or for what is no file or, of a comparison, the lines that differ."""

    path: str | None
    digest: str
    staged: bool
    text: str


class Done(NamedTuple):
    """What came of a file."""

    made: list[Made]
    findings: list[Located]
    claims: list[Claims]


def compile_file(work: Work, job: Job) -> Done:
    """Compile the boxes in the file of JOB."""
    try:
        compiled, findings = compile_all(*read(job.box), _seen_from(job, work.inputs))
    except Rejected as rejected:
        return Done([], rejected.findings, [])
    if work.this_host:
        findings += _of_this_host(compiled)
    made = []
    for one in compiled:
        path, text = job.plan(one), to_text(one.plan)
        if path is None:
            made.append(Made(None, "", False, text))
            continue
        if work.mark is None:
            lines, found = _compared(path, text, job.box)
            made.append(Made(path, "", False, lines))
        else:
            item, found = _staged(path, text, work.mark)
            made.append(item)
        findings += found
    return Done(made, findings, [_claims(one) for one in compiled])


def _claims(one: Compiled) -> Claims:
    return claims(one.box, one.source, one.allowed, one.paths)


def _staged(path: str, text: str, mark: str) -> tuple[Made, list[Located]]:
    data = text.encode("utf-8")
    try:
        staged = writing.stage(path, data, mark)
    except OSError as error:
        finding = Finding("KR302", f"the plan cannot be written: {why(error)}")
        return Made(path, "", False, ""), only(path, finding)
    if staged is None:
        return Made(path, "", False, text), []
    return Made(path, hexdigest(data), staged, ""), []


def _compared(path: str, text: str, box: str) -> tuple[str, list[Located]]:
    """How the plan in PATH differs from TEXT, which BOX compiles to."""
    try:
        data = contents(path)
    except OSError as error:
        message = f"the plan cannot be read: {why(error)}"
        finding = Finding("KR301", message, hint="krunc compile makes it")
        return "", only(path, finding)
    if data == text.encode("utf-8"):
        return "", []
    from difflib import unified_diff

    old = data.decode("utf-8", "replace")
    named = (path, f"what {box} compiles to", "", "", 0, "")
    lines = unified_diff(old.splitlines(), text.splitlines(), *named)
    message = f"this is not what {box} compiles to"
    finding = Finding("KR301", message, hint="run krunc compile and review the difference")
    return "".join(printable(line) + "\n" for line in lines), only(path, finding)


def _of_this_host(boxes: list[Compiled]) -> list[Located]:
    cpus = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return [
        Located(one.source, finding)
        for one in boxes
        for finding in lints.check_host(one.box, cpus, memory)
        if finding.code not in one.allowed
    ]


def _seen_from(job: Job, given: Inputs) -> Inputs:
    if job.folder is None:
        return given
    home = "." if job.box == "-" else os.path.dirname(job.box) or "."
    return given.seen_from(_way(home, job.folder))


@cache
def _way(home: str, folder: str) -> str:
    # realpath: relpath of two names of one folder is only then the way between them.
    return os.path.relpath(os.path.realpath(home), os.path.realpath(folder))
