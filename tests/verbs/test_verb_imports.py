"""No verb imports what it does not use: that is most of the time of a short command."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT

PLAN = str(ROOT / "boxes/hello.plan.json")
_COMPILING = (
    "krunc_compiler.pipeline.compiling",
    "krunc_compiler.lowering.steps",
    "krunc_compiler.rules.box",
)
_LARGE = ("yaml", "yaml.loader", "yaml.nodes", "jinja2", "jsonschema", "hashlib", "pathlib", "tempfile", "subprocess", "difflib", "urllib.parse")  # fmt: skip
# A command, and what of the large modules it may import.
VERBS: dict[str, tuple[list[str], set[str]]] = {
    "compile": (["compile", str(ROOT / "boxes/disk.yaml"), "-o", "-"], {"yaml.nodes", *_COMPILING}),
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


# What a mistake, an expression or a plan that is read back needs, and few boxes have.
_OF_FEW_BOXES = (
    "shlex",
    "krunc_compiler.findings.catalogue",
    "krunc_compiler.plan.json_text",
    "krunc_compiler.plan.refusal",
    "krunc_compiler.shape.checking",
    "krunc_compiler.shape.habits",
    "krunc_compiler.values.kind",
    "krunc_compiler.values.rendering",
)


def imported(words: list[str], directory: Path) -> set[str]:
    """What `krunc WORDS` imports in DIRECTORY."""
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", "from krunc import run; run()", *words],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    found = {row.rpartition("|")[2].strip() for row in rows}
    assert "krunc" in found
    return found


@pytest.mark.parametrize(("words", "may"), VERBS.values(), ids=VERBS)
def test_imports(words: list[str], may: set[str], tmp_path: Path) -> None:
    assert imported(words, tmp_path) & {*_LARGE, *_COMPILING} == may


def test_a_right_box_takes_nothing_that_few_boxes_need(tmp_path: Path) -> None:
    box = str(ROOT / "boxes/disk.yaml")
    assert imported(["compile", box, "-o", "-"], tmp_path).isdisjoint(_OF_FEW_BOXES)


def test_these_modules_are_there() -> None:
    """Else one that is renamed is never found."""
    assert all(find_spec(name) is not None for name in (*_COMPILING, *_OF_FEW_BOXES))
