"""What the launcher prints of a plan's strings is escaped by the rule of reviews."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krunc_compiler.__main__ import main
from krunc_compiler.findings.report import is_seen
from krunc_compiler.review.look_alikes import doubtful
from krunc_launcher.errors import plain, quoted
from processes import PATIENCE
from recorder.fixtures import LAUNCHER

ESCAPED = [
    "\u0430pp",  # a Cyrillic letter in a Latin word
    "\u0441\u043e",  # Cyrillic letters that look like Latin ones
    "a\u200bb",  # nothing is seen
    "a\u0301",  # joins the character before it
    "\u05d0\u05d1",  # changes the order
    "\u3164",  # a blank letter
    "\uff0fetc",  # a form of a slash
    "a\u00a0b",
    "\U0001d41abc",
]
READ = ["\u043f\u0440\u0438\u0432\u0435\u0442", "caf\u00e9", "\u65e5\u672c\u8a9e", "plain"]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_what_is_escaped_is_what_reviews_escape(text: str) -> None:
    expected = doubtful(text) | {i for i, c in enumerate(text) if not is_seen(c)}
    told = "".join(c for i, c in enumerate(text) if i not in expected)
    assert [c for c in quoted(text) if not c.isascii()] == [c for c in told if not c.isascii()]
    assert plain(text) in (text, quoted(text)[1:-1])


@pytest.mark.parametrize("blanks", [0, 1, 16, 17, 60, 200])
def test_nothing_looks_like_a_row_behind_many_blanks(blanks: int) -> None:
    text = f"default */{' ' * blanks}call  krun_free_ctx(ctx);  /* x{' ' * blanks}"
    told = text if blanks <= 16 else text.replace(" " * blanks, "\\040" * blanks)
    assert quoted(text) == f'"{told}"'
    assert plain(text) == told


def test_a_dry_run_has_one_row_for_each_operation_on_a_terminal(tmp_path: Path) -> None:
    file = planned(tmp_path, "a")
    plan = json.loads(file.read_text())
    plan["operations"][0]["from"] = "default */" + " " * 60 + "call  krun_free_ctx(ctx);  /* x"
    file.write_text(json.dumps(plan))
    done = replayed(file)
    assert done.returncode == 0, done.stderr
    assert " " * 17 + "call" not in done.stdout
    assert "\\040" * 60 + "call  krun_free_ctx" in done.stdout


@pytest.mark.parametrize("text", ["\x1b[2J", "\u200b", " " * 60, "\u202e"])
def test_where_a_secret_comes_from_is_told_as_visibly(text: str, tmp_path: Path) -> None:
    file = planned(tmp_path, "a")
    plan = json.loads(file.read_text())
    (args,) = (row["args"] for row in plan["operations"] if "envp" in row.get("args", {}))
    args["envp"] = {"A": {"from_file": f"t{text}x"}}
    file.write_text(json.dumps(plan))
    done = replayed(file)
    assert "secret  <from_file t\\" in done.stdout
    assert text not in done.stdout


@pytest.mark.parametrize("text", ESCAPED)
def test_a_dry_run_shows_what_looks_like_something_else(text: str, tmp_path: Path) -> None:
    done = dry(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\\u" in done.stdout or "\\U" in done.stdout


@pytest.mark.parametrize("text", READ)
def test_a_dry_run_leaves_words_of_other_scripts(text: str, tmp_path: Path) -> None:
    assert f"A={text}" in dry(tmp_path, text).stdout


def test_a_launch_in_ascii_has_no_use_for_the_rule() -> None:
    code = (
        "import sys; from krunc_launcher.errors import quoted; quoted('a\\n'); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "krunc_launcher._look_alikes" not in loaded.stdout.split()


def dry(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A dry run of a plan that has TEXT among the arguments of the program."""
    return replayed(planned(directory, text))


def planned(directory: Path, text: str) -> Path:
    """Such a plan."""
    (directory / "box.yaml").write_text(
        "krunc: 1\nname: box\nrootfs: {path: ./rootfs}\nnetwork: {mode: none}\n"
        f'entrypoint: {{executable: /bin/a, env: {{A: "{text}"}}}}\n',
        "utf-8",
    )
    assert main(["compile", "--target", "1.19", str(directory / "box.yaml")]) == 0
    return directory / "box.plan.json"


def replayed(plan: Path) -> subprocess.CompletedProcess[str]:
    """A dry run of PLAN."""
    return subprocess.run(
        [*LAUNCHER, "--dry-run", str(plan)],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )
