"""No verb imports what it does not use: that is most of the time of a short command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

PLAN = str(ROOT / "boxes/hello.plan.json")
_COMPILING = (
    "krunc_compiler.pipeline.compiling",
    "krunc_compiler.lowering.steps",
    "krunc_compiler.rules.box",
)
_LARGE = ("yaml", "jinja2", "jsonschema", "hashlib", "pathlib", "tempfile", "subprocess", "difflib", "urllib.parse")  # fmt: skip
# A command, and what of the large modules it may import.
VERBS: dict[str, tuple[list[str], set[str]]] = {
    "compile": (["compile", str(ROOT / "boxes/disk.yaml"), "-o", "-"], {"yaml", *_COMPILING}),
    "show": (["show", PLAN], set()),
    "show as markdown": (["show", PLAN, "--format", "markdown"], set()),
    "show as JSON": (["show", PLAN, "--format", "json"], set()),
    "diff": (["diff", PLAN, str(ROOT / "boxes/hello.plan.json")], set()),
    "digest": (["digest", PLAN], set()),
    "check of plans": (["check", PLAN], set()),
    "explain": (["explain", "KR201"], set()),
    "schema": (["schema", "box"], set()),
    "help": (["show", "--help"], set()),
}


@pytest.mark.parametrize(("words", "may"), VERBS.values(), ids=VERBS)
def test_imports(words: list[str], may: set[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", "from krunc import run; run()", *words],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {row.rpartition("|")[2].strip() for row in rows}
    assert "krunc" in imported
    assert imported & {*_LARGE, *_COMPILING} == may
