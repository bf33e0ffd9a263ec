"""Whether guests have started their programs, where the kernel tells only that somebody has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher import system
from krunc_launcher.host.program import program as program_of
from krunc_launcher.paths import Directories
from krunc_launcher.plan.verify import verify
from krunc_launcher.resolve.resolve import resolve
from krunc_launcher.supervise.programs import Program, Programs
from processes import started, wait_until
from recorder.fixtures import LAUNCHER
from roots import runnable

OPENS = 'read go; exec 3<"$1"; echo opened; read end'
STAYS = "read go; echo stayed; read end"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "program").write_text("x")
    handle = os.open(tmp_path / "program", os.O_PATH)
    yield handle
    os.close(handle)


@contextmanager
def vm(script: str, program: Program, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in place of a VM's."""
    with started(
        ["sh", "-c", script, "sh", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        program.pid = process.pid
        yield process


def go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    process.stdout.readline()


@pytest.fixture(autouse=True)
def woken() -> Iterator[list[int]]:
    """The signals that came; the launcher waits for them."""
    came: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, _: came.append(number))
    yield came
    signal.signal(signal.SIGIO, before)


def test_alone(file: int, tmp_path: Path) -> None:
    programs = Programs()
    one = programs.watch(file)
    programs.look()
    assert one.seen is False
    with vm(OPENS, one, tmp_path / "program") as process:
        go(process)
        programs.look()
    assert one.seen is True


def test_of_two_with_one_root_only_that_which_has_it(file: int, tmp_path: Path) -> None:
    programs = Programs()
    first, second = programs.watch(file), programs.watch(file)
    with vm(STAYS, first, tmp_path / "program") as a, vm(OPENS, second, tmp_path / "program") as b:
        go(a)
        go(b)
        programs.look()
        assert (first.seen, second.seen) == (False, True)
    programs.look()
    assert (first.seen, second.seen, first.lost) == (False, True, "")


def test_one_that_is_gone_before_it_is_asked(file: int, tmp_path: Path) -> None:
    programs = Programs()
    first, second = programs.watch(file), programs.watch(file)
    with vm(OPENS, first, tmp_path / "program") as a, vm(STAYS, second, tmp_path / "program") as b:
        go(a)
        a.kill()
        wait_until(lambda: Path(f"/proc/{a.pid}/stat").read_text().split()[2] == "Z")
        go(b)
        programs.look()
        assert (first.seen, second.seen) == (None, False)
        assert first.lost.startswith("another VM has the same program")


# What happens to the program of two VMs, and whether each has started it when both have ended:
# a VM opens (A, B) or closes (a, b) it, and the launcher looks (!).
HISTORIES: dict[str, tuple[bool | None, bool | None]] = {
    "!": (False, False),
    "A!": (True, False),
    "B!": (False, True),
    "A!B!": (True, True),
    "AB!": (True, True),
    "A!a!": (True, False),
    "A!!a!!": (True, False),
    "A!aB!": (True, True),
    "Aa!": (None, None),
    "Bb!": (None, None),
    "AaB!": (None, True),
    "ABb!": (True, None),
    "ABab!": (None, None),
    "A!Bb!": (True, None),
    "A!a!Bb!": (True, None),
    "AaAa!": (None, None),
    "Aa!A!": (True, None),
    "Aa!A!B!": (True, True),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_what_was_closed_before_the_launcher_looked_is_not_told_as_never_opened(
    history: str, file: int, tmp_path: Path
) -> None:
    programs = Programs()
    of = {name: programs.watch(file) for name in "ab"}
    follows = 'while read go; do case $go in o) exec 3<"$1";; c) exec 3<&-;; esac; echo; done'
    path = tmp_path / "program"
    with vm(follows, of["a"], path) as first, vm(follows, of["b"], path) as second:
        for act in history:
            if act == "!":
                programs.look()
                continue
            process = first if act in "aA" else second
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"o\n" if act.isupper() else b"c\n")
            process.stdin.flush()
            process.stdout.readline()
        for program in of.values():
            programs.forget(program)
    assert (of["a"].seen, of["b"].seen) == HISTORIES[history]
    assert [bool(program.lost) for program in of.values()] == [
        seen is None for seen in HISTORIES[history]
    ]


def test_a_close_while_the_launcher_looks(
    file: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is closed between the kernel's word and the look at who has it."""
    programs = Programs()
    first, second = programs.watch(file), programs.watch(file)
    with vm(STAYS, first, tmp_path / "program"), vm(STAYS, second, tmp_path / "program"):
        handles = [os.open(tmp_path / "program", os.O_RDONLY)]
        listed = system.listdir

        def closed(path: str) -> list[str]:
            while handles:
                os.close(handles.pop())
            return listed(path)

        monkeypatch.setattr(system, "listdir", closed)
        programs.look()
        programs.forget(first)
        programs.forget(second)
    assert (first.seen, second.seen) == (None, None)


# What happens to the program of one VM, and of two: that the launcher itself reads it (r), all else
# as above. A guest opens (A) and closes (a) it between that.
OWN_READS: dict[str, bool | None] = {
    "r": None,
    "rr!": None,
    "!r!": None,
    "r!!": None,
    "A!r": True,
    "Ar": True,
    "Aar": True,
    "rA!": True,
    "rAa!": True,
    "!": False,
}


@pytest.mark.parametrize("history", OWN_READS)
def test_what_the_launcher_reads_itself_is_not_taken_for_a_guests_doing(
    history: str, file: int, tmp_path: Path
) -> None:
    programs = Programs()
    program = programs.watch(file)
    path = tmp_path / "program"
    follows = 'while read go; do case $go in o) exec 3<"$1";; c) exec 3<&-;; esac; echo; done'
    with vm(follows, program, path) as process:
        for act in history:
            if act == "!":
                programs.look()
            elif act == "r":
                assert programs.aside(path.read_text) == "x"
            else:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(b"o\n" if act.isupper() else b"c\n")
                process.stdin.flush()
                process.stdout.readline()
        programs.look()
        programs.forget(program)
    assert program.seen is OWN_READS[history]
    assert bool(program.lost) == (program.seen is None)


def test_a_guest_that_opens_its_program_while_the_launcher_reads_it(
    file: int, tmp_path: Path
) -> None:
    """It still has it behind that, or nobody knows."""
    path = tmp_path / "program"
    for stays, seen in ((True, True), (False, None)):
        programs = Programs()
        one, other = programs.watch(file), programs.watch(file)
        script = OPENS if stays else 'read go; exec 3<"$1" 3<&-; echo; read end'
        with vm(script, one, path) as a, vm(STAYS, other, path):

            def read(process: subprocess.Popen[bytes] = a) -> None:
                go(process)
                path.read_text()

            programs.aside(read)
            programs.forget(one)
            programs.forget(other)
        assert (one.seen, other.seen) == (seen, None)


def test_the_launcher_is_woken(file: int, tmp_path: Path, woken: list[int]) -> None:
    programs = Programs()
    first, second = programs.watch(file), programs.watch(file)
    with vm(OPENS, second, tmp_path / "program") as process:
        first.pid = process.pid
        go(process)
        wait_until(lambda: woken)
        programs.look()
    assert (first.seen, second.seen) == (True, True)


def test_a_guest_that_opens_it_without_end_is_not_followed_for_ever(
    file: int, tmp_path: Path
) -> None:
    programs = Programs()
    first, second = programs.watch(file), programs.watch(file)
    with vm(STAYS, first, tmp_path / "program") as a, vm(STAYS, second, tmp_path / "program"):
        go(a)
        for _ in range(1100):
            (tmp_path / "program").read_text()
            programs.look()
    assert (first.seen, second.seen) == (None, None)


OVERLAYS = {
    "": True,
    "{path: /added, text: x}": True,
    "{path: /bin, directory: true}": False,
    "{path: /bin, directory: true}, {path: /bin/a, text: x}": False,
    "{path: /link, directory: true}": False,
    "{path: /usr, directory: true}": False,
}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("script", [False, True])
def test_an_overlay_hides_the_program_only_where_there_is_something(
    script: bool, overlay: str, tmp_path: Path
) -> None:
    """The program is reached through links; a script is laid over the root, too."""
    (tmp_path / "rootfs/usr/bin").mkdir(parents=True)
    (tmp_path / "rootfs/bin").symlink_to("link")
    (tmp_path / "rootfs/link").symlink_to("usr/bin")
    for name in ("a", "sh"):
        (tmp_path / "rootfs/usr/bin" / name).write_text("x")
    runs = "{script: exit}" if script else "{executable: /bin/a}"
    (tmp_path / "box.yaml").write_text(
        f"krunc: 1\nname: a\nrootfs: {{path: ./rootfs, overlay: [{overlay}]}}\n"
        f"network: {{mode: none}}\nentrypoint: {runs}\n"
    )
    assert main(["compile", str(tmp_path / "box.yaml"), "--target", "2"]) == 0
    plan = verify(json.loads((tmp_path / "box.plan.json").read_text()))
    directories = Directories(str(tmp_path), str(tmp_path / "run"))
    found = program_of(plan, resolve(verify(plan), directories, None)[0], directories)
    path = "/bin/sh" if script else "/bin/a"
    assert found == ((str(tmp_path / "rootfs"), path) if OVERLAYS[overlay] else ("", ""))


def test_without_a_watch_nothing_is_told_as_sure(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """A user has 128 instances of inotify, in all processes together; in a namespace, none."""
    if subprocess.run(["unshare", "-Ur", "true"], check=False).returncode:
        pytest.skip("there can be no user namespace here")
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(
        "krunc: 1\nname: a\nrootfs: {path: ./rootfs}\nnetwork: {mode: none}\n"
        "entrypoint: {executable: /bin/a}\n"
    )
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    none = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", none, "sh", *LAUNCHER, "--libkrun", str(build("v1"))]
    command += [
        "--runtime-dir",
        str(tmp_path / "run"),
        "--exit-record",
        str(tmp_path / "exit.json"),
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "box.plan.json")],
        env={**os.environ, "LD_PRELOAD": str(fake_kvm)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = "whether the guest's program was started is unknown: inotify: too many open files"
    assert said in done.stderr
    assert json.loads((tmp_path / "exit.json").read_text())["program_seen"] is None
