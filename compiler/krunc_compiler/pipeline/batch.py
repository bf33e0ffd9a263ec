"""One file of boxes to its plans: staged beside where they go, compared with what is there, or as
text. What is left of it in memory is small, for there may be many files."""

import os
from functools import cache
from typing import NamedTuple

from krunc_compiler.files import writing
from krunc_compiler.files.boxfiles import plan_name
from krunc_compiler.files.contents import contents
from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.files.source import MAX_BYTES, read
from krunc_compiler.files.within import Within
from krunc_compiler.findings.finding import Finding, Located, Rejected
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.pipeline.compiling import Compiled, compile_all
from krunc_compiler.rules import lints
from krunc_compiler.rules.collisions import Claims, claims
from krunc_compiler.values.inputs import Inputs

# What no other file that krunc knows has at its start.
PLAN_MARK = b'"krunc_plan"'


class Job(NamedTuple):
    """A file of boxes, the folder of its plans (None: standard output), and the plan's name when
    the command line tells it."""

    box: str
    folder: str | None
    file: str | None

    def plan(self, compiled: Compiled) -> str | None:
        """Return the file of a plan; None: standard output."""
        if self.folder is None:
            return None
        if self.file is not None:
            return os.path.join(self.folder, self.file)
        name = plan_name(self.box, compiled.plan.box if compiled.is_matrix else None)
        return os.path.join(self.folder, name)


class Work(NamedTuple):
    """What is done with each file: MARK stages plans, None compares them with what is there. Which
    files may be read is among the inputs."""

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
        compiled, findings = compile_all(
            *read(job.box, work.inputs.within), _seen_from(job, work.inputs)
        )
    except Rejected as rejected:
        return Done([], rejected.findings, [])
    if work.this_host:
        findings += _of_this_host(compiled)
    made = []
    for one in compiled:
        path, text = job.plan(one), one.text
        if path is None:
            made.append(Made(None, "", False, text))
            continue
        if work.mark is None:
            lines, found = _compared(path, text, job.box, work.inputs.within)
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
        staged = writing.stage(path, data, mark, replaces=PLAN_MARK)
    except OSError as error:
        return Made(path, "", False, ""), only(path, unwritten(error))
    if staged is None:
        return Made(path, "", False, text), []
    return Made(path, hexdigest(data), staged, ""), []


def unwritten(error: OSError) -> Finding:
    """Return the finding about a plan that cannot be written."""
    hint = "remove it, or choose another with -o" if isinstance(error, FileExistsError) else ""
    return Finding("KR302", f"the plan cannot be written: {why(error)}", hint=hint)


def _compared(path: str, text: str, box: str, within: Within) -> tuple[str, list[Located]]:
    """Tell how the plan in PATH differs from TEXT, which BOX compiles to."""
    try:
        within.admit(path)
        data = contents(path, MAX_BYTES + 1)
    except Rejected as rejected:
        return "", rejected.findings
    except OSError as error:
        message = f"the plan cannot be read: {why(error)}"
        finding = Finding("KR301", message, hint="krunc compile makes it")
        return "", only(path, finding)
    if data == text.encode("utf-8"):
        return "", []
    if len(data) > MAX_BYTES:
        finding = Finding("KR301", f"this has more than {MAX_BYTES:,} bytes; no plan has as many")
        return "", only(path, finding)
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
    return given.seen_from(way(home, job.folder))


@cache
def way(home: str, folder: str) -> str:
    """Return the way from FOLDER, in which a plan is, to HOME, in which its box is."""
    # realpath: relpath of two names of one folder is only then the way between them.
    return os.path.relpath(os.path.realpath(home), os.path.realpath(folder))
