"""How the launcher is started: by krunc-launch with and without site, and behind a compiled box."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import _cffi_backend
import pytest
from generate_start import made
from krunc import boxes
from places import ROOT
from roots import runnable

SCRIPT = ROOT / "launcher/scripts/krunc-launch"
PACKAGE = ROOT / "launcher/krunc_launcher"
# What site brings, and what of the standard library is dear; the launcher has its own.
_ABSENT = {"site", "os", "stat", "__future__", "_collections_abc", "posixpath", "genericpath"}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """What pip would make of the wheel, without pip."""
    place = tmp_path / "prefix"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = place / "lib" / version / "site-packages"
    shutil.copytree(PACKAGE, packages / "krunc_launcher")
    for name, text in made(PACKAGE).items():
        (packages / "krunc_launcher" / name).write_text(text, "utf-8")
    # Where Fedora puts what is no Python.
    library = Path(str(_cffi_backend.__file__))
    (place / "lib64" / version / "site-packages").mkdir(parents=True)
    (place / "lib64" / version / "site-packages" / library.name).symlink_to(library)
    (place / "bin").mkdir()
    shutil.copy(SCRIPT, place / "bin")
    return place


def loaded(said: str) -> set[str]:
    """The modules that -X importtime tells of."""
    return {line.rpartition("|")[2].strip() for line in said.splitlines() if "import time:" in line}


def started(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env={**os.environ, **more}
    )


@pytest.mark.parametrize("directory", ["bin", "bin/..//bin", "."])
def test_without_site_the_packages_are_found_beside_the_program(
    prefix: Path, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, _, name = f"{directory}/krunc-launch".rpartition("/")
    monkeypatch.chdir(prefix / "bin" if at == "." else prefix)
    given = name if at == "." else f"{at}/{name}"
    done = started("-IS", "-X", "importtime", given, "--version")
    assert (done.returncode, done.stdout[:6]) == (0, "krunc ")
    assert loaded(done.stderr).isdisjoint(_ABSENT)
    assert {"_cffi_backend", "krunc_launcher.start"} <= loaded(done.stderr)


def test_with_site_it_does_the_same(prefix: Path) -> None:
    done = started(prefix / "bin/krunc-launch", "--version")
    assert (done.returncode, done.stdout[:6], done.stderr) == (0, "krunc ", "")


def test_where_nothing_is_beside_it_site_is_asked(prefix: Path) -> None:
    shutil.rmtree(prefix / "lib")
    done = started("-IS", "-X", "importtime", prefix / "bin/krunc-launch", "--version")
    assert (done.returncode, done.stdout[:6]) == (0, "krunc ")
    assert "site" in loaded(done.stderr)


def test_a_launch_without_site(
    prefix: Path, build: Callable[..., Path], fake_kvm: Path, tmp_path: Path
) -> None:
    runnable(tmp_path / "rootfs")
    (tmp_path / "hello.yaml").write_text((ROOT / "boxes/hello.yaml").read_text())
    started("-m", "krunc", "compile", tmp_path / "hello.yaml")
    options = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    done = started(
        "-IS", "-X", "importtime", prefix / "bin/krunc-launch", *options, tmp_path / "hello.plan.json",
        LD_PRELOAD=str(fake_kvm), KRUN_RECORDER_EXIT="7",
    )  # fmt: skip
    assert done.returncode == 7
    assert loaded(done.stderr).isdisjoint(_ABSENT)


def test_what_cannot_be_written_is_told_by_the_status(prefix: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-IS", str(prefix / "bin/krunc-launch"), "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_garbage_is_not_looked_for_from_the_first_line_on() -> None:
    """Nor does a process hand its memory back at its end."""
    lines = [line for line in SCRIPT.read_text().splitlines() if line and line[0] not in "#"]
    first = lines.index("import gc")
    # Before it is what lets a Ctrl-C end the process, of a module that is there.
    assert [line for line in lines[:first] if "import" in line] == ["import _signal"]
    assert first == 3
    assert lines[first + 1].startswith("gc.disable()")
    assert lines[-1] == "run()"
    assert boxes._LAUNCHER.startswith("import gc; gc.disable(); ")
    assert boxes._LAUNCHER.endswith("; run()")
    run = re.search(r"\ndef run\(\).*?\n\n\n", (PACKAGE / "__main__.py").read_text(), re.DOTALL)
    assert run is not None
    assert "system._exit(status)" in run[0]


def test_behind_a_box_python_starts_without_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[..., Path], fake_kvm: Path
) -> None:
    runnable(tmp_path / "rootfs")
    (tmp_path / "hello.yaml").write_text((ROOT / "boxes/hello.yaml").read_text())
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, argv: became.append(argv))
    options = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    boxes.launch([*options, str(tmp_path / "hello.yaml")])
    ((python, *words),) = became
    assert words[:3] == ["-I", "-S", "-c"]
    plan = int(words[-1].removeprefix("/dev/fd/"))
    os.set_inheritable(plan, True)
    done = subprocess.run(
        [python, "-X", "importtime", *words],
        env={**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7"},
        capture_output=True, text=True, pass_fds=[plan],
    )  # fmt: skip
    os.close(plan)
    assert done.returncode == 7, done.stderr
    assert "site" not in loaded(done.stderr)
