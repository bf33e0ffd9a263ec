"""File names are bytes, and a plan's are UTF-8: where Python has another encoding for them, nothing is
launched, and nothing that a name can be ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX = """\
krunc: 1
name: box
rootfs: {path: ./caf\u00e9}
network: {mode: none}
entrypoint: {executable: /bin/a}
"""
# Python is told not to make UTF-8 of the locale C.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    runnable(tmp_path / "caf\u00e9")
    (tmp_path / "box.yaml").write_text(BOX, "utf-8")
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--dry-run",),
        ("--log-dir", "logs"),
        ("--exit-record", "end.json"),
        ("doctor",),
    ],
)
def test_nothing_is_launched_where_names_are_not_utf_8(
    words: tuple[str, ...], plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plan.parent)
    done = subprocess.run(
        [*LAUNCHER, *words, str(plan)],
        env={**os.environ, **ASCII}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "krunc: this Python takes file names to be ascii, and a plan's are UTF-8: set PYTHONUTF8=1, or a "
        "locale with UTF-8, such as LC_ALL=C.UTF-8\n"
    )


@pytest.mark.parametrize("way", [{"PYTHONUTF8": "1"}, {"LC_ALL": "C.UTF-8"}])
def test_what_it_says_helps(way: dict[str, str], plan: Path, launch: Callable[..., Launch]) -> None:
    assert launch(plan, **{**ASCII, **way, "KRUN_RECORDER_EXIT": "7"}).returncode == 7


@pytest.mark.parametrize(
    "words", [("launch", "--help"), ("show",), ("digest",), ("check",), ("compile",)]
)
def test_what_opens_no_path_of_the_plan_needs_no_utf_8(words: tuple[str, ...], plan: Path) -> None:
    of = plan.with_name("box.yaml") if words[0] in ("check", "compile") else plan
    done = subprocess.run(
        [sys.executable, "-m", "krunc", *words, str(of)],
        env={**os.environ, **ASCII}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("what", ["its name", "its directory", "a firmware beside it"])
def test_a_libkrun_with_a_name_that_is_not_utf_8_is_told(
    what: str,
    plan: Path,
    launch: Callable[..., Launch],
    build: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """cffi hands the loader no others."""
    strange = plan.with_name("d\udcff")
    strange.mkdir()
    library = strange / ("lib\udcff.so" if what == "its name" else "libkrun.so")
    library.write_bytes(build("v1").read_bytes())
    if what == "a firmware beside it":
        (strange / "libkrunfw.so.5").write_bytes(build("v1").read_bytes())
        monkeypatch.chdir(strange)
        library = Path("libkrun.so")
    done = launch(plan, library=library)
    assert (done.returncode, done.calls) == (125, [])
    assert "cannot be loaded: the loader is given paths in UTF-8 alone" in done.stderr
    assert done.stderr.count("\n") == 1
