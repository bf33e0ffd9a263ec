"""Fuzz targets over atheris: python tests/tools/fuzz.py box|plan [DIRECTORY] [option of libFuzzer...].

    python tests/tools/fuzz.py box                       until something fails, or Ctrl-C
    python tests/tools/fuzz.py plan -max_total_time=60   for a minute
    python tests/tools/fuzz.py box crash-0a1b...         one input again
    python tests/tools/fuzz.py box corpus                keeps what it learns in the directory corpus

box: any text as a box is a plan or findings. The plan is the same when it is made again, the
reviewer's reader takes it, and the launcher's verifier too.
plan: any text as a plan is refused or printed by the launcher's dry run, and so by the reviewer's.

A traceback, an input that takes over 10 s, or over 1 GiB of memory, fails.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris  # type: ignore[import-untyped]
from places import ROOT

with atheris.instrument_imports(include=["krunc_compiler", "krunc_launcher"]):
    from krunc_compiler import libkrun as api
    from krunc_compiler.findings.finding import Rejected, UsageError
    from krunc_compiler.findings.report import report
    from krunc_compiler.pipeline.compiling import compile_all
    from krunc_compiler.plan.plan import to_text
    from krunc_compiler.plan.reading import read_plan
    from krunc_compiler.review.plan_sheet import plan_sheet
    from krunc_compiler.review.summary import review
    from krunc_compiler.review.text import to_text as shown
    from krunc_compiler.values.inputs import Inputs
    from krunc_launcher.as_c import listing
    from krunc_launcher.errors import LaunchError, PlanRefused
    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.verify import verify
    from krunc_launcher.resolve.resolve import resolve
    from krunc_launcher.text.reading import parse
    from krunc_schema import load

DIRECTORIES = Directories("/base", "/run/krunc/box")


def fuzz_box(text: str) -> None:
    """TEXT is a box or is refused, for both families."""
    for name in ("1", "2"):
        target = api.target(name)
        assert target is not None
        try:
            made, warned = compile_all("box.yaml", text, Inputs(target))
        except Rejected as rejected:
            assert any(not item.finding.warning for item in rejected.findings)
            assert " error" in report(rejected.findings).splitlines()[-1]
            continue
        if warned:
            report(warned)
        again, _ = compile_all("box.yaml", text, Inputs(target))
        for one, other in zip(made[:3], again, strict=False):
            plan = to_text(one.plan)
            assert plan == to_text(other.plan)
            read_plan("box.plan.json", plan)
            verify(parse(plan))


def fuzz_plan(text: str) -> None:
    """TEXT is a plan or is refused, by the launcher and by the reviewer."""
    taken = True
    try:
        plan = verify(parse(text))
        done, found = resolve(plan, DIRECTORIES, None)
        if not found:
            listing(plan, done)
    except (PlanRefused, LaunchError):
        taken = False
    try:
        shown(plan_sheet(review(read_plan("x.plan.json", text))))
    except Rejected as rejected:
        report(rejected.findings)
        assert not taken, "the launcher takes a plan that the reviewer cannot show"


TARGETS: dict[str, tuple[Callable[[str], None], tuple[str, ...]]] = {
    "box": (fuzz_box, ("boxes/*.yaml", "tests/bad/*.yaml", "compiler/krunc_compiler/starters/*")),
    "plan": (fuzz_plan, ("boxes/*.plan.json", "tests/golden/*.plan.json")),
}


def words() -> Iterator[str]:
    """Keys and values of boxes and plans, for libFuzzer's dictionary; parts of expressions."""
    yield from ("{{ ", " }}", " | ", " ~ ", " * ", " ** ", " if ", " else ", " is ", "[0]")
    yield from ("default", "int", "join", "replace", "round", "title", "truncate")
    todo = [load("box.schema"), {"properties": {name: {} for name in api.functions()}}]
    while todo:
        rule = todo.pop()
        if isinstance(rule, dict):
            yield from rule.get("properties", ())
            yield from (item for item in rule.get("enum", ()) if isinstance(item, str))
            todo += rule.values()
        elif isinstance(rule, list):
            todo += rule


def main(argv: list[str]) -> None:
    """Run the target of ARGV; libFuzzer ends the process."""
    if argv[1:2] not in (["box"], ["plan"]):
        sys.stderr.write(__doc__ or "")
        raise SystemExit(2)
    run, patterns = TARGETS[argv[1]]
    rest = argv[2:]

    def one(data: bytes) -> None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return  # refused where files are read
        try:
            run(text)
        except UsageError:
            return

    with tempfile.TemporaryDirectory() as directory:
        seeds = Path(directory) / "seeds"
        seeds.mkdir()
        for pattern in patterns:
            for path in ROOT.glob(pattern):
                if path.stat().st_size < 1 << 16:
                    (seeds / path.name).write_bytes(path.read_bytes())
        dictionary = Path(directory) / "words"
        dictionary.write_text("".join(f"{json.dumps(word)}\n" for word in sorted(set(words()))))
        limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384", f"-dict={dictionary}"]
        again = any(Path(word).is_file() for word in rest)
        atheris.Setup([argv[0], *limits, *rest, *([] if again else [str(seeds)])], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
