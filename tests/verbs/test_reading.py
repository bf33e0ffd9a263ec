"""What is no regular file is refused at once by whatever reads it; what is handed down is read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER

KRUNC = [sys.executable, "-m", "krunc"]
BOX = """\
krunc: 1
name: good
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true}
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A box, its plan, and what is neither; sockets have short names, so it is the directory."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(BOX)
    assert main(["compile", "good.yaml"]) == 0
    os.mkfifo("pipe")
    os.mkdir("empty")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        yield tmp_path


def large(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.truncate(path, 3 << 30)


# How a file of this name is made, and a part of what is said of it.
STRANGE: dict[str, tuple[Callable[[str], object], str]] = {
    "a pipe": (os.mkfifo, "pipe"),
    "a link to a pipe": (lambda path: os.symlink("pipe", path), "pipe"),
    "a device": (lambda path: os.symlink("/dev/zero", path), "device"),
    "a terminal": (lambda path: os.symlink("/dev/ptmx", path), "device"),
    "a directory": (os.mkdir, "directory"),
    "a link to a directory": (lambda path: os.symlink("empty", path), "directory"),
    "a socket": (lambda path: os.symlink("socket", path), "socket"),
    "a link to itself": (lambda path: os.symlink(path, path), "symbolic links"),
    "a link to nothing": (lambda path: os.symlink("absent", path), "no such file"),
    "a large file": (large, "bytes"),
}
# The commands by the ending of the file that they read.
READERS = {
    "compile": ("yaml", KRUNC, ["compile", "FILE"]),
    "vars": ("yaml", KRUNC, ["compile", "good.yaml", "-o", "-", "--vars", "FILE"]),
    "extends": ("yaml", KRUNC, ["compile", "extending.yaml"]),
    "check": ("yaml", KRUNC, ["check", "FILE"]),
    "policy": ("yaml", KRUNC, ["check", "good.yaml", "--policy", "FILE"]),
    "show a box": ("yaml", KRUNC, ["show", "FILE"]),
    "show a plan": ("plan.json", KRUNC, ["show", "FILE"]),
    "effective": ("yaml", KRUNC, ["show", "--effective", "FILE"]),
    "diff": ("plan.json", KRUNC, ["diff", "FILE", "good.yaml"]),
    "digest": ("plan.json", KRUNC, ["digest", "FILE"]),
    "import": ("json", KRUNC, ["import", "boxlite", "FILE"]),
    "import compose": ("yaml", KRUNC, ["import", "compose", "FILE"]),
    "compile --check": ("plan.json", KRUNC, ["compile", "--check", "good.yaml", "-o", "FILE"]),
    "launch a box": ("yaml", KRUNC, ["launch", "--dry-run", "FILE"]),
    "launch a plan": ("plan.json", LAUNCHER, ["--dry-run", "FILE"]),
    "digests": ("txt", LAUNCHER, ["--dry-run", "--require-digest", "FILE", "good.plan.json"]),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", STRANGE)
def test_it_is_refused(kind: str, reader: str, directory: Path) -> None:
    make, said = STRANGE[kind]
    ending, command, words = READERS[reader]
    name = f"strange.{ending}"
    make(name)
    Path("extending.yaml").write_text(f"extends: {name}\n{BOX}")
    done = subprocess.run(
        [*command, *(name if word == "FILE" else word for word in words)],
        cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if "directory" in kind and done.returncode == 2:
        return  # there is no box in it
    assert done.returncode in ((2,) if reader == "diff" else (1,)), done.stderr
    told = done.stderr + done.stdout
    fewer = ("not a regular file", "no such device")  # the launcher's words
    # What check may read does not lead out of the repository.
    outside = "check" in reader or reader == "policy"
    assert (
        said in told
        or ("KR011" in told and outside)
        or (command == LAUNCHER and any(words in told for words in fewer))
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["check", "compile"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to itself", "a link to nothing"])
def test_it_is_refused_in_a_directory(
    kind: str, verb: str, directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, said = STRANGE[kind]
    make("strange.yaml")
    assert main([verb, "."]) == 1
    told = "".join(capfd.readouterr())
    outside = kind == "a device" and verb == "check"
    assert f"strange.yaml: error[{'KR011' if outside else 'KR001'}]" in told
    assert said in told or outside
    assert "good.yaml" not in told or verb == "compile"


def test_a_large_file_takes_no_memory(directory: Path) -> None:
    large("a.yaml")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29)); "
    code = (
        f"{limit}from krunc_compiler.__main__ import main; raise SystemExit(main(['check', '.']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (KRUNC, "show FILE"),
        (KRUNC, "diff FILE good.yaml"),
        (KRUNC, "digest FILE"),
        (LAUNCHER, "--dry-run FILE"),
    ],
)
@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
@pytest.mark.parametrize("is_pipe", [True, False])
def test_what_is_handed_down_is_read(
    command: list[str], words: str, name: str, is_pipe: bool, directory: Path
) -> None:
    line = [*command, *words.replace("FILE", name).split()]
    text = Path("good.plan.json").read_bytes()
    if is_pipe:
        done = subprocess.run(line, input=text, capture_output=True)
    else:
        with open("good.plan.json", "rb") as file:
            done = subprocess.run(line, stdin=file, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_digests_are_read_from_a_pipe(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["digest", "good.plan.json"])
    known = capsys.readouterr().out.encode()
    line = [*LAUNCHER, "--dry-run", "--require-digest", "/dev/fd/0", "good.plan.json"]
    assert subprocess.run(line, input=known, capture_output=True).returncode == 0
    done = subprocess.run(line, input=b"# many\n" * 200_000, capture_output=True, text=False)
    assert b"has more than 1048576 bytes" in done.stderr


def test_what_git_has_is_read_as_far_as_a_plan_goes(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("large.yaml").write_bytes(b"a" * (5 << 20))
    own = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "large.yaml"], [*own, "commit", "-qm", "a"]):
        subprocess.run(["git", *words], check=True)
    assert main(["show", "HEAD:large.yaml"]) == 1
    assert "the file has more than 1,048,576 bytes" in capsys.readouterr().err


def test_a_named_pipe_that_nobody_reads_is_not_written_to(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("out")
    assert main(["compile", "good.yaml", "-o", "out"]) == 1
    assert "no process reads from the pipe" in capsys.readouterr().err


@pytest.mark.parametrize("existing", [BOX, "# notes\n", '{"name": "x"}\n', "\0"])
@pytest.mark.parametrize("way", ["-o", "-o through a link", "beside it", "as a box of a matrix"])
def test_no_plan_replaces_what_is_none(
    way: str, existing: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, words = "other.json", ["-o", "other.json"]
    if way == "-o through a link":
        words = ["-o", "link"]
        os.symlink(name, "link")
    elif way == "beside it":
        name, words = "good.plan.json", []
    elif way == "as a box of a matrix":
        name, words = "good-2.plan.json", []
        matrix = BOX.replace("name: good", 'name: "good-{{ n }}"\nmatrix: {n: {from: 1, to: 3}}')
        Path("good.yaml").write_text(matrix)
    Path(name).write_text(existing)
    before = sorted(os.listdir())
    assert main(["compile", "good.yaml", *words]) == 1
    assert (
        "the file that is there was not written by krunc, and is left alone"
        in capsys.readouterr().err
    )
    assert Path(name).read_text() == existing
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("existing", ["", '{\n  "krunc_plan": 1,\n <<<<<<< a'])
def test_a_plan_and_an_empty_file_are_replaced(existing: str, directory: Path) -> None:
    Path("other.json").write_text(existing)
    assert main(["compile", "good.yaml", "-o", "other.json"]) == 0
    assert Path("other.json").read_bytes() == Path("good.plan.json").read_bytes()
