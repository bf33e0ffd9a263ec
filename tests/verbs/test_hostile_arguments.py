"""Arguments as a shell makes them of a stranger's file names: what a terminal would obey, or a reader
not see, is escaped in what every command says of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.usage import VERBS

ESC = "\x1b[31m"
FORMS = ["{}", "--{}", "--{}=1", "-{}", "{}.yaml", "{}.plan.json", "{}\u202e", "a\u00ad{}", "a\n{}"]
WORDS = [[], ["--box"], ["--target"], ["--set"], ["--vars"], ["-o"], ["--format"], ["--fleet"],
         ["systemd"], ["compose"], ["--log-dir"], ["--libkrun"], ["--kind"]]  # fmt: skip


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_nothing_reaches_the_terminal(verb: str, tmp_path: Path) -> None:
    calls = [[*filter(None, [verb]), *words, form.format(ESC)] for words in WORDS for form in FORMS]
    if verb == "doctor":
        calls = calls[: len(FORMS)]
    code = (
        "import os, sys\n"
        "from krunc import main\n"
        "for words in eval(sys.stdin.read()):\n"
        "    sys.argv = ['krunc', *words]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
    )
    (tmp_path / "a.yaml").write_text("krunc: 1\n")
    done = subprocess.run(
        [sys.executable, "-c", code], input=repr(calls), cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    said = done.stderr + (done.stdout if verb in ("check", "doctor") else "")
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\u00ad" not in said
    assert len(said) > 100


def test_a_box_that_a_shell_names(tmp_path: Path) -> None:
    """As of `krunc compile *`, in a clone."""
    (tmp_path / f"{ESC}.plan.json").touch()
    (tmp_path / f"{ESC}.txt").touch()
    for name in (f"{ESC}.plan.json", f"{ESC}.txt"):
        done = subprocess.run(
            [sys.executable, "-m", "krunc", "compile", name], cwd=tmp_path, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith("krunc compile: \\x1b[31m.")
        assert "\x1b" not in done.stderr
