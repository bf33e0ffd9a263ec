"""A Ctrl-C at any moment, from the first import on, ends a command as it ends any program: by the
signal, without a word, and what it writes is there as a whole or not at all.

The moments are what Python audits: each import, each file that is opened, listed or renamed. What
comes before the first line of krunc's own is Python's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import ROOT
from processes import PATIENCE
from roots import runnable

# Is imported when Python starts. The first file behind it that runs is the program.
HOOK = """\
import os, signal, sys

at, mine = int(os.environ["INTERRUPT_AT"]), os.getpid()
told = os.open(os.environ["INTERRUPT_TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
moment = None

def hook(event, arguments):
    global moment
    if moment is None:
        code = arguments[0] if event == "exec" else None
        if code is not None and code.co_filename == sys.argv[0]:
            moment = 0
    elif os.getpid() == mine:
        if moment == at:
            signal.raise_signal(signal.SIGINT)  # which is not audited itself
        os.write(told, b".")
        moment += 1

sys.addaudithook(hook)
"""
# So many moments of each command, over all of it; the first are each tried.
MOMENTS, FIRST = 16, 8
SCRIPTS = {"krunc": "compiler/scripts/krunc", "krunc-launch": "launcher/scripts/krunc-launch"}
COMMANDS = {
    "compile": ["krunc", "compile", "box.yaml", "-o", "out/"],
    "check": ["krunc", "check", "."],
    "emit": ["krunc", "emit", "systemd", "plan/box.plan.json", "--base", "/srv", "-o", "out"],
    "fleet": ["krunc", "digest", "--fleet", "plan", "-o", "out.list"],
    "init": ["krunc", "init", "out"],
    "dry run": ["krunc-launch", "--dry-run", "plan/box.plan.json"],
    "launch": ["krunc", "launch", "plan/box.plan.json"],
    "launch alone": ["krunc-launch", "--exit-record", "out.json", "plan/box.plan.json"],
    "version": ["krunc", "--version"],
    "help": ["krunc-launch", "--help"],
}
Run = Callable[[int], tuple["subprocess.CompletedProcess[str]", int]]


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    build: Callable[..., Path],
    fake_kvm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a command in a directory with a box and its plan, and interrupts it at a moment; tells
    how many moments there were too."""
    program, *words = COMMANDS[request.param]
    hooks, here = tmp_path / "hooks", tmp_path / "here"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK)
    library = build("v2_flat")
    environment = {
        **os.environ,
        "PYTHONPATH": str(hooks),
        "INTERRUPT_TOLD": str(tmp_path / "told"),
        "KRUNC_LIBKRUN": str(library),
        "LD_PRELOAD": str(fake_kvm),
        "FAKE_KVM": "works",
        "KRUN_RECORDER_EXIT": "0",
        "XDG_RUNTIME_DIR": str(here),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    here.mkdir()
    monkeypatch.chdir(here)
    runnable(here / "rootfs")
    text = (ROOT / "boxes/hello.yaml").read_text().replace("hello", "box")
    # With the stage, for whose launch there is a directory.
    Path("box.yaml").write_text(f"{text}hostname: box\n")
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "compile", "box.yaml", "-o", "plan/", "--target", "2"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before = state()

    def once(moment: int) -> tuple[subprocess.CompletedProcess[str], int]:
        for path in set(state()) - set(before):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):  # its directory may be gone already
                os.unlink(path)
        (tmp_path / "told").write_bytes(b"")
        done = subprocess.run(
            [sys.executable, ROOT / SCRIPTS[program], *words],
            env={**environment, "INTERRUPT_AT": str(moment)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return done, (tmp_path / "told").stat().st_size

    return once


def state() -> dict[str, bytes | None]:
    """What is below this directory: the content of each file."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


@pytest.mark.parametrize("run", COMMANDS, indirect=True)
def test_a_ctrl_c_at_each_moment(run: Run) -> None:
    before = state()
    whole, count = run(1 << 30)
    after = state()
    assert "Traceback" not in whole.stderr
    assert count > 10, "the moments are seen"
    moments = sorted({*range(min(FIRST, count)), *range(0, count, -(-count // MOMENTS))})
    interrupted = 0
    for moment in moments:
        done, _ = run(moment)
        assert "Traceback" not in done.stderr, (moment, done.stderr)
        assert "KeyboardInterrupt" not in done.stderr, (moment, done.stderr)
        assert done.returncode in (-signal.SIGINT, 128 + signal.SIGINT, whole.returncode), moment
        interrupted += done.returncode != whole.returncode
        now = state()
        for path in {*now, *before}:
            assert path in after or path in before, (moment, f"{path} is left")
            found = [then.get(path, b"none") for then in (before, after)]
            if path == "out.json" and path in now:  # the record, which is of this very end
                status = json.loads(now[path] or b"")["status"]
                assert status in (done.returncode, 128 - done.returncode)
                continue
            assert now.get(path, b"none") in found, (moment, path)
    assert interrupted > len(moments) // 2
