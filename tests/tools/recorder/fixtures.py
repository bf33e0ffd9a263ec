"""Recording libraries and the launcher run against them."""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import krunc_launcher
import pytest
from generate_start import made
from once import once
from processes import PATIENCE

from recorder.source import source

HERE = Path(__file__).parent
# The launcher as a wheel has it, all modules in one; and as the console script starts it: `python
# -m` would import more.
_KNOWN = "KRUNC_TEST_START"
if _KNOWN not in os.environ:
    _MADE = tempfile.TemporaryDirectory(prefix="krunc-start-")
    for _name, _text in made(Path(krunc_launcher.__path__[0])).items():
        (Path(_MADE.name) / _name).parent.mkdir(exist_ok=True)
        (Path(_MADE.name) / _name).write_text(_text, "utf-8")
        py_compile.compile(f"{_MADE.name}/{_name}")
    # pytest's workers, which this process starts and outlives, take the same.
    os.environ[_KNOWN] = _MADE.name
_START = (
    f"import gc; gc.disable(); import krunc_launcher; krunc_launcher.__path__[:0] = {[os.environ[_KNOWN]]!r}; "
    "from krunc_launcher.start import run; run()"
)
LAUNCHER = [sys.executable, "-c", _START]


class Launch(NamedTuple):
    """How a launch ended, and the calls that libkrun saw."""

    returncode: int
    stdout: str
    stderr: str
    calls: list[dict[str, Any]]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a recording library of an era, optionally without some functions; once each."""

    def make(era: str, *without: str) -> Path:
        left_out = frozenset(without)

        def compiled(library: Path) -> None:
            text = library.with_suffix(".c")
            text.write_text(source(era, left_out))
            _cc(text, library)

        key = hashlib.sha256(" ".join(sorted(left_out)).encode()).hexdigest()[:16]
        return once(tmp_path_factory, f"recorder-{era}-{key}/libkrun.so", compiled)

    return make


@pytest.fixture(scope="session")
def fake_kvm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The LD_PRELOAD library that pretends a /dev/kvm."""
    return once(
        tmp_path_factory,
        "fakekvm/fakekvm.so",
        lambda library: _cc(HERE / "fakekvm.c", library, "-ldl"),
    )


def _cc(text: Path, library: Path, *more: str) -> None:
    command = ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(text), *more]
    subprocess.run(command, check=True)


@pytest.fixture
def launch(build: Callable[..., Path], fake_kvm: Path, tmp_path: Path) -> Callable[..., Launch]:
    """Runs the launcher on a plan, with a recording library of the plan's era."""

    def run(
        plan: Path,
        *arguments: str,
        library: Path | None = None,
        kvm: str = "works",
        raw: bool = False,
        **env: str,
    ) -> Launch:
        record = tmp_path / "calls.jsonl"
        record.unlink(missing_ok=True)
        era = json.loads(plan.read_text())["api"] if library is None else ""
        used = library or build(era)
        done = subprocess.run(
            [
                *LAUNCHER,
                "--libkrun",
                str(used),
                "--runtime-dir",
                str(tmp_path / "run"),
                *arguments,
                str(plan),
            ],
            env={
                **os.environ,
                "LD_PRELOAD": str(fake_kvm),
                "FAKE_KVM": kvm,
                "KRUN_RECORDER": str(record),
                **env,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        lines = record.read_text().splitlines() if record.exists() else []
        calls = [json.loads(line) for line in lines]
        if not raw:
            for call in calls:
                call.pop("nofile", None)
        return Launch(done.returncode, done.stdout, done.stderr, calls)

    return run
