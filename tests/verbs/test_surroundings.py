"""Closed and full outputs, a directory that is gone or cannot be read, names of any bytes: a command
does its work or says why not, and never with a traceback."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER

KRUNC = [sys.executable, "-c", "from krunc import run; run()"]
BOX = """\
krunc: 1
name: good
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true}
"""
COMMANDS = [
    "check {}", "check {}/good.yaml", "compile {}/good.yaml", "compile {}/good.yaml -o -",
    "compile --check {}/good.yaml", "show {}/good.yaml", "show {}/good.plan.json", "show absent",
    "show --effective {}/good.yaml", "diff {}/good.yaml {}/good.plan.json", "diff absent /dev/null",
    "digest {}/good.plan.json", "init {}/new", "init", "explain", "schema box", "completion bash",
    "launch --dry-run {}/good.yaml", "launch --dry-run {}/good.plan.json", "launch --dry-run -",
    "launch absent.plan.json", "doctor", "--help", "--version", "launch --help", "compile", "nothing",
]  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "good.yaml")]) == 0
    return tmp_path


def run(words: str, directory: Path, before: Callable[[], object]) -> tuple[int, str]:
    """The exit code of a command and what it wrote, standard error into a file of its own."""
    with open(directory / "said", "wb") as said, open(directory / "told", "wb") as told:
        done = subprocess.run(
            [*KRUNC, *words.replace("{}", str(directory)).split()],
            cwd=directory, stdin=subprocess.DEVNULL, stdout=told, stderr=said, timeout=60,
            preexec_fn=before,
        )  # fmt: skip
    return done.returncode, (directory / "said").read_text() + (directory / "told").read_text()


def full(*descriptors: int) -> None:
    handle = os.open("/dev/full", os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(handle, descriptor)


def unread(descriptor: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, descriptor)


def leave() -> None:
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


AROUND: dict[str, Callable[[], object]] = {
    "no standard output": lambda: os.close(1),
    "no standard error": lambda: os.close(2),
    "no standard input": lambda: os.close(0),
    "no streams": lambda: os.closerange(0, 3),
    "full standard output": lambda: full(1),
    "full standard error": lambda: full(2),
    "all full": lambda: full(1, 2),
    "nobody reads": lambda: unread(1),
    "nobody reads errors": lambda: unread(2),
    "the working directory is gone": leave,
    "files cannot grow": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
}


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("around", AROUND)
def test_no_traceback(around: str, words: str, directory: Path) -> None:
    status, said = run(words, directory, AROUND[around])
    assert status in (0, 1, 2, 125), said
    assert "Traceback" not in said
    assert "Exception" not in said
    left = {"good.yaml", "good.plan.json", "said", "told"}
    made = {name for name in os.listdir(directory) if name not in left}
    assert made <= {"new.yaml", "hello.yaml"}
    for name in made:
        assert (directory / name).read_text().startswith("# ")  # whole, or not there


# What needs the working directory, by a path of its own or a box's.
NOWHERE = [
    "init", "init new", "init d/new", "init --kind policy", "compile good.yaml", "compile .",
    "compile {}/good.yaml", "compile {}/good.yaml -o x", "compile {}/good.yaml -o x/", "check",
    "check good.plan.json", "show good.plan.json", "diff a b", "digest a", "digest --fleet .",
    "emit systemd {}/good.plan.json -o x", "import compose x", "import oci x", "pull good.yaml",
    "launch good.plan.json", "launch good.yaml", "launch .", "launch --dry-run -",
    "launch --log-dir x {}/good.plan.json", "launch --log-dir {}/x good.plan.json",
]  # fmt: skip


@pytest.mark.parametrize("words", NOWHERE)
def test_a_working_directory_that_is_gone_is_what_is_told(words: str, directory: Path) -> None:
    status, said = run(words, directory, leave)
    verb = words.split()[0]
    assert status == (1 if "--dry-run" in words else 2 if "--log-dir" in words
                      else {"diff": 2, "launch": 125}.get(verb, 1))  # fmt: skip
    named = "krunc" if verb == "launch" and ".yaml" not in words else f"krunc {verb}"
    assert said == f"{named}: the working directory is not there any more; change to another\n"


@pytest.mark.parametrize("words", ["show {}/good.plan.json", "schema box", "doctor", "--help"])
def test_a_full_output_is_an_error(words: str, directory: Path) -> None:
    status, said = run(words, directory, lambda: full(1))
    assert status == 1
    assert "no space left on device" in said.lower()


@pytest.mark.parametrize("command", [KRUNC, LAUNCHER], ids=["krunc", "krunc-launch"])
def test_without_dev_null(command: list[str], directory: Path) -> None:
    """Closed streams are opened on nothing, standard output so that what is lost is told; where
    there is no /dev/null either, on a file without a name."""
    code = (
        "import os, sys\n"
        "def missing(path, *rest, opened=os.open, **more):\n"
        "    if path == os.devnull: raise FileNotFoundError(2, 'No such file or directory', path)\n"
        "    return opened(path, *rest, **more)\n"
        "os.open = missing\n"
    )
    words = ["launch"] if command == KRUNC else []
    argv = [sys.argv[0], *words, "--dry-run", "good.plan.json"]
    inner = (
        "from krunc import run; run()"
        if words
        else "from krunc_launcher.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.argv = {argv!r}\n{inner}"],
        cwd=directory, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.closerange(0, 2),
    )  # fmt: skip
    assert done.returncode == 1
    said = "krunc: the output cannot be written: bad file descriptor\n"
    assert done.stderr.lower() == said


@pytest.mark.parametrize("verb", ["check", "compile"])
def test_directories_of_any_depth(
    verb: str, directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """1,500 are read, with the box at the end. What is deeper than a path can say is told."""
    monkeypatch.chdir(directory)
    for levels, status in ((1_500, 0), (2_500, 1)):
        top = f"deep{levels}"
        os.mkdir(top)
        here = os.open(top, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        made = os.open("box.yaml", os.O_WRONLY | os.O_CREAT, dir_fd=here)
        os.write(made, BOX.encode())
        os.close(made)
        os.close(here)
        # A box deep down has no plan yet, which check tells.
        assert main([verb, top]) == max(status, verb == "check")
        told = "".join(capfd.readouterr())
        assert ("the directory cannot be read: file name too long" in told) == bool(status)
        subprocess.run(["rm", "-rf", top], check=True)


def without_privileges() -> None:
    """Root loses what lets it read everything, when the next program starts."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of linux/capability.h
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP of linux/prctl.h


@pytest.mark.parametrize("verb", ["check", "compile"])
def test_a_directory_that_may_not_be_read(verb: str, directory: Path) -> None:
    (directory / "closed").mkdir()
    (directory / "closed/other.yaml").write_text("krunc: 1\n")
    (directory / "closed").chmod(0)
    done = subprocess.run(
        [*KRUNC, verb, "."],
        cwd=directory, capture_output=True, text=True, timeout=60, preexec_fn=without_privileges,
    )  # fmt: skip
    (directory / "closed").chmod(0o755)
    assert done.returncode == 1
    assert "closed: error[KR001]: the directory cannot be read: permission denied" in (
        done.stderr + done.stdout
    )


@pytest.mark.parametrize("verb", ["check", "compile", "show", "launch --dry-run"])
def test_names_that_are_not_utf8(verb: str, directory: Path) -> None:
    name = b"\xff\xfe.yaml"
    with open(os.path.join(os.fsencode(directory), name), "w") as file:
        file.write(BOX)
    words: list[str | bytes] = [*KRUNC, *verb.split(), name]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True)
    assert done.returncode == (verb == "check"), done.stderr  # it has no plan
    assert "Traceback" not in done.stderr


def test_the_way_to_a_plan_must_be_text(directory: Path) -> None:
    """The plan would say the way back, and a plan is UTF-8."""
    strange = os.path.join(os.fsencode(directory), b"\xff")
    os.mkdir(strange)
    with open(os.path.join(strange, b"box.yaml"), "w") as file:
        file.write(BOX)
    done = subprocess.run(
        [*KRUNC, "compile", b"\xff/box.yaml", "-o", "out.json"],
        cwd=directory, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not UTF-8" in done.stderr
    assert not (directory / "out.json").exists()
