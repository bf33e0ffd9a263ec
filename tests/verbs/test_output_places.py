"""What can be in the place of an output: it is written whole, or what is there is named and stays.

One table for all commands with -o: those that write a directory, and those that write a file.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from places import ROOT
from processes import PATIENCE, started, wait_until

HELLO = ROOT / "boxes/hello.plan.json"
COMPOSE = "services:\n  web:\n    image: web:1\n"
# By command: its words before the output's place. The first make a directory there.
DIRECTORIES = {
    **{one: ["emit", one, "plans", "--base", "/srv"] for one in ("systemd", "slurm")},
    "compile to a directory": ["compile", "hello.yaml"],
    "import to a directory": ["import", "compose", "compose.yaml"],
}
FILES = {
    "compile": ["compile", "hello.yaml"],
    "digest": ["digest", "--fleet", "plans"],
    "import": ["import", "compose", "compose.yaml"],
}
_READ_SEARCH, _OVERRIDE, _PR_CAPBSET_DROP = 2, 1, 24


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with inputs, and one, `in`, for the outputs."""
    monkeypatch.chdir(tmp_path)
    for name in ("plans", "in", "out"):
        Path(name).mkdir()
    shutil.copy(HELLO, "plans")
    shutil.copy(ROOT / "boxes/hello.yaml", ".")
    Path("compose.yaml").write_text(COMPOSE)


def words(command: str, place: str) -> list[str]:
    """The command line that writes to PLACE."""
    slash = "/" * (command.endswith("to a directory") and not place.endswith("/"))
    if command.startswith("import"):
        return [*FILES["import"][:2], "-o", place + slash, *FILES["import"][2:]]
    return [*(DIRECTORIES | FILES)[command], "-o", place + slash]


def state(top: str = ".") -> dict[str, str]:
    """All names below TOP, with what they hold or where they lead."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in Path(top).rglob("*")
        if path.is_symlink() or path.is_file()
    }


def link(target: str) -> Callable[[], None]:
    """A link to TARGET as the output's place."""
    return lambda: os.symlink(target, "in/it")


def file() -> None:
    """Another's file."""
    Path("in/it").write_text("mine\n")


def linked() -> None:
    """Another's file and a link to it."""
    file()
    os.symlink("it", "in/link")


def listener() -> None:
    """A named pipe that nobody reads."""
    os.mkfifo("in/it")


def nothing() -> None:
    """Nothing: the place is one of the system's."""


# What is there, by a few words: how it comes there, the output's place, and what is said of it.
NO_DIRECTORY: dict[str, tuple[Callable[[], None], str, str]] = {
    "a regular file": (file, "in/it", "in/it is a regular file"),
    "below a regular file": (file, "in/it/a/b", "in/it is a regular file"),
    "a link to a file": (linked, "in/link", "in/link is a link to a regular file"),
    "a dangling link": (link("gone"), "in/it", "in/it is a link to nothing"),
    "below a dangling link": (link("gone"), "in/it/a", "in/it is a link to nothing"),
    "a link to itself": (link("it"), "in/it", "in/it is a link to nothing"),
    "a named pipe": (listener, "in/it", "in/it is a named pipe"),
    "a link to a device": (link("/dev/full"), "in/it", "in/it is a link to a device"),
    "a device": (nothing, "/dev/full", "/dev/full is a device"),
    "the null device": (nothing, "/dev/null", "/dev/null is a device"),
    "below a device": (nothing, "/dev/null/x", "/dev/null is a device"),
    "standard output": (nothing, "/dev/stdout", "/dev/stdout is a link to "),
    "an open file": (nothing, "/proc/self/fd/1", "/proc/self/fd/1 is a link to "),
    "a name that is too long": (nothing, "in/" + "x" * 300, "file name too long"),
    "too long within": (nothing, "in/a/" + "x" * 300, "file name too long"),
}  # fmt: skip


@pytest.mark.parametrize("command", DIRECTORIES)
@pytest.mark.parametrize("case", NO_DIRECTORY)
def test_what_is_no_directory_is_named(
    case: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put, place, said = NO_DIRECTORY[case]
    put()
    before, listed = state(), os.listdir("in")
    assert main(words(command, place), refusals) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "directory cannot be made: " in err
    assert said in err
    assert "was not written by" not in err
    assert state() == before
    assert os.listdir("in") == listed


@pytest.mark.parametrize("command", ["systemd", *FILES])
def test_a_variable_that_is_not_set_is_no_place(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    with pytest.raises(SystemExit) as ended:
        main(words(command, ""), refusals)
    assert ended.value.code == 2
    assert "-o/--output needs a value, got an empty string" in capsys.readouterr().err
    assert state() == before


@pytest.mark.parametrize("command", DIRECTORIES)
@pytest.mark.parametrize("place", ["in/it", "in/it/", "in/it/a/b"])
def test_a_link_to_a_directory_is_a_directory(command: str, place: str) -> None:
    link("../out")()
    assert main(words(command, place), refusals) == 0
    assert os.path.islink("in/it")
    assert [name for name in state("out") if not name.startswith("out/.")]


# What is there instead of a file of the output, and what is said of it.
IN_ITS_PLACE: dict[str, tuple[Callable[[str], object], str]] = {
    "another's file": (lambda path: Path(path).write_text("mine\n"), "was not written by krunc"),
    "a directory": (os.mkdir, "written: is a directory"),
    "a link beside it": (lambda path: os.symlink("beside", path), "a link is in its place"),
    "a link out": (lambda path: os.symlink("/etc/passwd", path), "a link out of its directory"),
    "a link to a device": (lambda path: os.symlink("/dev/null", path), "a link out of its dir"),
    "a named pipe": (os.mkfifo, "a named pipe is in its place"),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_ITS_PLACE)
def test_what_is_in_a_files_place_stays(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    put, said = IN_ITS_PLACE[case]
    put("in/krunc@.service")
    before = state()
    assert main(words("systemd", "in"), refusals) == 1
    err = capsys.readouterr().err
    assert "error[KR810]" in err
    assert said in err
    assert state() == before
    assert os.listdir("in") == ["krunc@.service"]


@pytest.mark.parametrize("target", ["../out", "gone", "/dev/null", "krunc@hello.service.d"])
def test_a_link_below_the_directory_leads_nowhere(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.symlink(target, "in/krunc@hello.service.d")
    before = state()
    assert main(words("systemd", "in"), refusals) == 1
    assert (
        "in/krunc@hello.service.d: error[KR810]: the directory cannot be made: it is a link"
        in capsys.readouterr().err
    )
    assert state() == before


# What is in the place of a file: what has to be said, or nothing where it is written.
OF_A_FILE: dict[str, tuple[Callable[[], None], str, str | None]] = {
    "a full device": (nothing, "/dev/full", "no space left on device"),
    "the null device": (nothing, "/dev/null", None),
    "a dangling link beside": (link("gone"), "in/it", None),
    "a dangling link out": (link("../out/gone"), "in/it", "a link out of its directory"),
    "a link out": (link("/etc/passwd"), "in/it", "a link out of its directory"),
    "a link to itself": (link("it"), "in/it", "it is a link to itself"),
    "below a regular file": (file, "in/it/x", "not a directory"),
    "below a dangling link": (link("gone"), "in/it/x", "no such file or directory"),
    "a pipe without a reader": (listener, "in/it", "no process reads from the pipe"),
    "a name that is too long": (nothing, "in/" + "x" * 300, "file name too long"),
}  # fmt: skip


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize("case", OF_A_FILE)
def test_what_is_in_the_place_of_one_file(
    case: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put, place, said = OF_A_FILE[case]
    put()
    before = state()
    status = main(words(command, place), refusals)
    err = capsys.readouterr().err
    if said is None:
        assert status == 0, err
        return
    assert status == 1
    assert "cannot be written: " in err
    assert said in err
    assert state() == before


@pytest.mark.parametrize("command", ["compile", "digest"])
def test_anothers_file_is_left_alone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    file()
    assert main(words(command, "in/it"), refusals) == 1
    assert "was not written by krunc" in capsys.readouterr().err
    assert Path("in/it").read_text() == "mine\n"


def krunc(given: list[str], limit: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    """A command that begins with LIMIT."""
    return subprocess.Popen(
        [sys.executable, "-m", "krunc", *given],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit,
    )  # fmt: skip


def powerless() -> None:
    """Take from root what lets it write where it may not."""
    for capability in (_OVERRIDE, _READ_SEARCH):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def small_files() -> None:
    """Let no file have more than a few bytes: a write is then cut in the middle."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


@pytest.mark.parametrize("command", [*DIRECTORIES, *FILES])
@pytest.mark.parametrize("is_small", [True, False])
def test_where_nothing_can_be_written(command: str, is_small: bool) -> None:
    before = state()
    if not is_small:
        os.chmod("in", 0o555)
    done = krunc(words(command, "in/it"), small_files if is_small else powerless)
    out, err = done.communicate(timeout=PATIENCE)
    if is_small and done.returncode == 0:  # it fits
        assert command in ("digest", "import", "import to a directory")
        return
    assert done.returncode == 1
    assert "cannot be " in err
    assert ("file too large" if is_small else "permission denied") in err
    assert "Traceback" not in err
    assert out == ""
    assert state() == before
    assert os.listdir("in") == []


def test_a_full_file_system() -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12k", "none", "in"], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root mounts")
    try:
        for command in DIRECTORIES:
            with suppress(OSError), open("in/full", "wb", buffering=0) as full:
                while full.write(bytes(512)):
                    pass
            done = krunc(words(command, "in/a/b"))
            _, err = done.communicate(timeout=PATIENCE)
            assert done.returncode == 1
            assert "no space left on device" in err
            assert os.listdir("in") == ["full"]
    finally:
        subprocess.run(["umount", "-l", "in"], check=True)


def many(count: int) -> None:
    """So many plans in the place of one."""
    text = HELLO.read_text()
    Path("plans/hello.plan.json").unlink()
    for number in range(count):
        own = text.replace('"hello"', f'"b{number}"', 1).replace('"rootfs"', f'"rootfs-{number}"')
        Path(f"plans/b{number}.plan.json").write_text(own)


WATCHED = """\
import os, signal, sys
from krunc_compiler.files import writing
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
settle, count = writing.settle, 0
def watched(path, mark):
    global count
    settle(path, mark)
    count += 1
    if count == 3:
        os.kill(os.getpid(), int(sys.argv[1]))
for name in ("emitting", "compile"):
    __import__(f"krunc_compiler.verbs.{name}")
    setattr(sys.modules[f"krunc_compiler.verbs.{name}"], "settle", watched)
sys.exit(main(sys.argv[2:], refusals))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["emit", "compile"])
def test_a_stop_while_files_get_their_names_comes_when_all_have_them(
    command: str, number: int
) -> None:
    many(9)
    given = words("systemd", "in")
    if command == "compile":
        box = Path("hello.yaml").read_text()
        Path("boxes").mkdir()
        for n in range(9):
            Path(f"boxes/b{n}.yaml").write_text(box.replace("name: hello", f"name: b{n}"))
        given = ["compile", "boxes", "-o", "in/"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(int(number)), *given], capture_output=True, text=True
    )
    assert done.returncode == -number
    assert len(state("in")) == (9 if command == "compile" else 11)
    assert not [name for name in state("in") if os.path.basename(name).startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stop_while_files_are_made_leaves_all_or_nothing(number: int) -> None:
    many(2000)
    command = [sys.executable, "-m", "krunc", *words("systemd", "in/a")]
    with started(command, stderr=subprocess.PIPE) as process:
        wait_until(lambda: os.path.exists("in/a"), process)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    found = state("in")
    whole = [name for name in found if not os.path.basename(name).startswith(".")]
    if number == signal.SIGKILL:  # nobody can sweep then: what has its name is whole
        assert all(found[name].endswith("\n") for name in whole)
    else:
        assert len(whole) in (0, 2002)
        assert len(found) == len(whole)
        assert whole or os.listdir("in") == []


@pytest.mark.parametrize(
    ("umask", "file_mode", "directory_mode"),
    [(0, 0o664, 0o775), (0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)],
)
@pytest.mark.parametrize("command", [*DIRECTORIES, *FILES])
def test_nobody_else_can_write_to_what_is_made(
    command: str, umask: int, file_mode: int, directory_mode: int
) -> None:
    place = "in/it" if command in FILES else "in/a/b"
    done = krunc(words(command, place), lambda: os.umask(umask))
    assert any(done.communicate(timeout=PATIENCE))
    assert done.returncode == 0
    for path in Path("in").rglob("*"):
        wanted = directory_mode if path.is_dir() else file_mode
        assert stat.S_IMODE(path.stat().st_mode) == wanted
