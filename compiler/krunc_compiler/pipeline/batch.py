"""One file of boxes to its plans: staged beside where they go, compared with what is there, or as
text. What is left of it in memory is small, for there may be many files."""

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from krunc_compiler.files import writing
from krunc_compiler.files.boxfiles import plan_name
from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.files.source import MAX_BYTES, read
from krunc_compiler.findings.finding import Finding, Located, Rejected, dotted
from krunc_compiler.findings.report import only, printable, settled
from krunc_compiler.findings.wording import why
from krunc_compiler.libkrun import Target
from krunc_compiler.pipeline.compiling import Compiled, compile_all
from krunc_compiler.pipeline.existing import PLAN_MARK, Plans, another_target, same_plan, way
from krunc_compiler.rules import lints
from krunc_compiler.rules.collisions import Claims, claims
from krunc_compiler.values.inputs import Inputs

if TYPE_CHECKING:
    from krunc_compiler.plan.refusal import Starter


class Job(NamedTuple):
    """A file of boxes, the directory of its plans (None: standard output), and the plan's name when
    the command line tells it."""

    box: str
    directory: str | None
    file: str | None

    def plan(self, name: str, is_matrix: bool) -> str | None:
        """Return the file of the plan of the box NAME, of a matrix or not; None: standard
        output."""
        if self.directory is None:
            return None
        if self.file is not None:
            return os.path.join(self.directory, self.file)
        return os.path.join(self.directory, plan_name(self.box, name if is_matrix else None))


class Work(NamedTuple):
    """What is done with each file: MARK stages plans, None compares them with what is there. Which
    files may be read is among the inputs. UNSTARTED is what the launcher knows of this host."""

    inputs: Inputs
    mark: str | None
    this_host: bool
    unstarted: "Starter | None" = None


class Made(NamedTuple):
    """A plan: its file and, unless it is compared, its digest; whether it is staged there, and the
    text for standard output or for what is no file or, of a comparison, the lines that differ; the
    libkrun that it is for, and that of the plan before it; whether nobody has named one."""

    path: str | None
    digest: str
    staged: bool
    text: str
    target: str = ""
    before: str = ""
    assumed: bool = False


class Done(NamedTuple):
    """What came of a file."""

    made: list[Made]
    findings: list[Located]
    claims: list[Claims]


def compile_file(work: Work, job: Job) -> Done:
    """Compile the boxes in the file of JOB."""
    plans = Plans(work.inputs.within)
    try:
        inputs = _for(job, work.inputs, plans)
        compiled, findings = compile_all(*read(job.box, inputs.within), inputs)
    except Rejected as rejected:
        return Done([], settled(rejected.findings), [])
    if work.this_host:
        findings += _of_this_host(compiled, job, work.unstarted)
    made = []
    for one in compiled:
        path, text = job.plan(one.plan.box, one.is_matrix), one.text
        if path is None:
            item = Made(None, "", False, text)
        elif work.mark is None:
            lines, found = _compared(path, one, job.box, plans)
            item = Made(path, "", False, lines)
            findings += found
        else:
            before = plans.target_of(path)
            item, found = _staged(path, text, work.mark)
            item = item._replace(before=str(before or ""))
            findings += found
        made.append(item._replace(target=one.plan.target, assumed=one.assumed))
    claimed = [_claims(one, item.path) for one, item in zip(compiled, made, strict=True)]
    return Done(made, settled(findings), claimed)


def _kept(job: Job, plans: Plans, name: str, is_matrix: bool) -> Target | None:
    """Return the libkrun that the one of PLANS is for that the box NAME of JOB has already."""
    path = job.plan(name, is_matrix)
    return plans.target_of(path) if path is not None else None


def _claims(one: Compiled, plan: str | None) -> Claims:
    return claims(one.box, one.source, one.allowed, plan, one.paths)


def _staged(path: str, text: str, mark: str) -> tuple[Made, list[Located]]:
    data = text.encode("utf-8")
    try:
        staged = writing.stage(path, data, mark, PLAN_MARK, same_plan)
    except OSError as error:
        return Made(path, "", False, ""), only(path, unwritten(error))
    if staged is None:
        return Made(path, "", False, text), []
    return Made(path, hexdigest(data), staged, ""), []


NO_DIRECTORY = "make its directory, or write -o DIR/, which makes it"


def unwritten(error: OSError) -> Finding:
    """Return the finding about a plan that cannot be written."""
    hint = "remove it, or choose another with -o" if isinstance(error, FileExistsError) else ""
    if isinstance(error, FileNotFoundError):
        hint = NO_DIRECTORY
    return Finding("KR302", f"the plan cannot be written: {why(error)}", hint=hint)


def _compared(path: str, compiled: Compiled, box: str, plans: Plans) -> tuple[str, list[Located]]:
    """Tell how the one of PLANS that is in PATH differs from what BOX COMPILED to."""
    text = compiled.text
    try:
        data = plans.content(path)
    except Rejected as rejected:
        return "", rejected.findings
    except OSError as error:
        message = f"the plan cannot be read: {why(error)}"
        finding = Finding("KR301", message, hint="run krunc compile, which makes it")
        return "", only(path, finding)
    if same_plan(data, text.encode("utf-8")):
        return "", []
    if len(data) > MAX_BYTES:
        finding = Finding("KR301", f"this has more than {MAX_BYTES:,} bytes; no plan has as many")
        return "", only(path, finding)
    from difflib import unified_diff

    old = data.decode("utf-8", "replace")
    named = (path, f"what {box} compiles to", "", "", 0, "")
    lines = unified_diff(old.splitlines(), text.splitlines(), *named)
    message = f"this is not what {box} compiles to"
    message += another_target(plans.target_of(path), compiled.plan.target)
    finding = Finding("KR301", message, hint="run krunc compile and review the difference")
    return "".join(printable(line) + "\n" for line in lines), only(path, finding)


def _of_this_host(boxes: list[Compiled], job: Job, unstarted: "Starter | None") -> list[Located]:
    cpus = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    found = []
    for one in boxes:
        findings = lints.check_host(one.box, cpus, memory)
        if unstarted is not None:
            keys = {dotted(path): path for path in one.source.places}
            for why in unstarted(one.text.encode("utf-8"), job.directory or "."):
                path = keys.get(why.key, ("entrypoint",))
                code = "KR531" if why.is_path else "KR530"
                findings.append(Finding(code, why.sentence, path, why.way_out))
        found += [Located(one.source, item) for item in findings if item.code not in one.allowed]
    return found


def _for(job: Job, given: Inputs, plans: Plans) -> Inputs:
    if job.directory is None:
        return given
    home = "." if job.box == "-" else os.path.dirname(job.box) or "."
    kept = partial(_kept, job, plans)
    return given._replace(prefix=way(home, job.directory), kept=kept)
