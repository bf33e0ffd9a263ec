"""What a launch imports: each module is time at every VM's start, and memory for its whole life."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from generate_start import modules
from golden import agree
from krunc_compiler.__main__ import main
from places import GOLDEN, ROOT
from recorder.fixtures import LAUNCHER
from roots import runnable

PACKAGE = ROOT / "launcher/krunc_launcher"
# Their time was measured: 3 to 20 ms each, of a start of 15.
_DEAR = (
    "argparse", "ast", "collections", "ctypes", "dataclasses", "enum", "functools", "hashlib",
    "importlib.metadata", "inspect", "json", "logging", "pathlib", "re", "socket", "subprocess",
    "tempfile", "threading", "typing", "yaml", "jsonschema", "jinja2", "krunc_compiler", "krunc_schema",
)  # fmt: skip


def imported(*command: str, **variables: str) -> set[str]:
    """The modules that a command and its children import."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1", **variables},
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


@pytest.mark.parametrize("name", ["launch", "dry-run", "help"])
def test_only_these_modules(
    name: str,
    tmp_path: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    update_golden: bool,
) -> None:
    runnable(tmp_path / "rootfs")
    box = tmp_path / "hello.yaml"
    box.write_text((ROOT / "boxes/hello.yaml").read_text())
    assert main(["compile", str(box)]) == 0
    plan = str(tmp_path / "hello.plan.json")
    words = {
        "launch": ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run"), plan],
        "dry-run": ["--dry-run", plan],
        "help": ["--help"],
    }[name]
    found = imported(*LAUNCHER, *words, LD_PRELOAD=str(fake_kvm))
    found -= imported(sys.executable, "-c", "pass")
    assert not {module for module in found if module.split(".")[0] in _DEAR or module in _DEAR}
    # One file, but all of them.
    assert "krunc_launcher.start" in found
    found |= {f"krunc_launcher.{module}" for module in modules(PACKAGE)}
    if sys.version_info[:2] == (3, 11):  # the standard library's own imports differ
        listed = "".join(f"{module}\n" for module in sorted(found))
        agree(GOLDEN / f"modules.{name}.txt", listed, update_golden)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_imports_no_compiler(word: str) -> None:
    start = "import sys; from krunc import main; sys.exit(main())"
    found = imported(sys.executable, "-c", start, word)
    found -= imported(sys.executable, "-c", "pass")
    assert len(found - {"krunc", "krunc_compiler", "krunc_launcher"}) < 4, found


def executed(folder: Path, *command: str, **variables: str) -> int:
    """The instructions of the one of a command's processes that executes most."""
    counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    # The first run may have to compile modules, which is not what is counted.
    for words in ([*command], [*counting, *command]):
        done = subprocess.run(
            words, cwd=folder, env={**os.environ, **variables}, capture_output=True, check=False
        )
        assert done.returncode == int(variables.get("KRUN_RECORDER_EXIT", 0)), done.stderr
    return max(int(count) for count in re.findall(rb"Collected : (\d+)", done.stderr))


def test_instructions(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """Up to the VM's entry, all checks made: counts do not depend on the load of the machine."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "hello.yaml").write_text((ROOT / "boxes/hello.yaml").read_text())
    assert main(["compile", str(tmp_path / "hello.yaml")]) == 0
    options = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    bare = executed(tmp_path, sys.executable, "-I", "-c", "pass")
    start = ["-I", "-c", LAUNCHER[2]]
    preload = {"LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7"}
    launch = [sys.executable, *start, *options, "hello.plan.json"]
    # 1.62 of CPython 3.11's, with the end of the process above; the rest is for others. A thirtieth
    # of it opens paths without links and overwrites the environment; what the tables have of orders
    # and of passt is a sixtieth, the look at the program's file a hundredth.
    assert executed(tmp_path, *launch, **preload) < 1.64 * bare
    helped = executed(
        tmp_path, sys.executable, "-I", "-c", "from krunc import run; run()", "--help"
    )
    assert helped < 1.1 * bare
