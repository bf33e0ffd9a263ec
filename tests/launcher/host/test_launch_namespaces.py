"""The documented way to launch under bubblewrap, run as it is documented."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from places import ROOT
from recorder.fixtures import LAUNCHER
from roots import runnable

DOCS = ROOT / "docs/launch.md"
BOX = """\
krunc: 1
name: web
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/true}
confine: off
"""


def documented(directory: Path, more: list[str], launch: list[str]) -> list[str]:
    """The command of the page for the plan in DIRECTORY, with MORE of bwrap's words."""
    (block,) = re.findall(r"```sh\n(bwrap .*?)```", DOCS.read_text(), re.S)
    words = shlex.split(block.replace("\\\n", " ").replace("$PWD", str(directory)))
    start = words.index("krunc")
    assert words[start:] == ["krunc", "launch", "web.plan.json"]
    return [*words[:start], *more, *launch]


def test_bubblewrap(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    build: Callable[..., Path],
    fake_kvm: Path,
) -> None:
    hidden = tmp_path_factory.mktemp("hidden") / "file"
    for path in (hidden, tmp_path / "seen"):
        path.write_text("text")
    runnable(tmp_path / "rootfs")
    (tmp_path / "rootfs/file").write_text("text")
    (tmp_path / "web.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "web.yaml")]) == 0
    tries = [f"r {hidden}", f"r {tmp_path}/seen", f"w {tmp_path}/seen", f"w {tmp_path}/rootfs/file"]
    record = tmp_path / "rootfs/calls"
    inside = {
        "LD_PRELOAD": str(fake_kvm),
        "KRUN_RECORDER": str(record),
        "KRUN_RECORDER_REACH": "\n".join(tries),
        "KRUN_RECORDER_EXIT": "3",
    }
    more = [word for name, value in inside.items() for word in ("--setenv", name, value)]
    library = build("v1")
    base = os.path.realpath(sys.base_prefix)  # where its libraries are looked for
    needed = {sys.prefix, sys.base_prefix, base, str(library.parent), str(fake_kvm.parent)}
    needed |= {str(ROOT)}
    for directory in sorted(needed):
        more += ["--ro-bind", directory, directory]
    plan = str(tmp_path / "web.plan.json")
    launch: list[str] = [*LAUNCHER, "--libkrun", str(library), plan]
    done = subprocess.run(
        documented(tmp_path, more, launch), capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": "/run"},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 3
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert "krun_start_enter" in {line.get("call") for line in lines}
    found = [line["errno"] for line in lines if "reach" in line]
    assert found == [errno.ENOENT, 0, errno.EROFS, 0]


def test_without_proc(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """The environment could not be wiped, nor would libkrun serve a directory."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "web.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "web.yaml")]) == 0
    launch = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc", *launch, str(tmp_path / "web.plan.json")],
        capture_output=True, text=True, check=False, env={**os.environ, "LD_PRELOAD": str(fake_kvm)},
    )  # fmt: skip
    assert done.returncode == 125
    assert (
        "krunc: /proc is not mounted; libkrun opens the files of shares through it\n" in done.stderr
    )
    assert "Traceback" not in done.stderr
