"""Paths below what a guest may write: a link there can be the guest's, and is not followed,
whichever operation names the path and however the path gets there."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher import system
from krunc_launcher.paths import Directories
from recorder.fixtures import LAUNCHER, Launch

SECRET = "of the host alone"
BOX = """\
krunc: 1
name: written
rootfs: {path: ./rootfs}
shares: [{tag: s, path: ./share, read_only: false}]
network: {mode: none}
"""
PROGRAM = "entrypoint: {executable: /dev/true}\n"
# Each key that names a path of the host: the box, with PATH for it, and what PATH has to be.
KEYS = {
    "secret": ("entrypoint: {executable: /dev/true, env: {T: {from_file: PATH}}}\n", "file"),
    "disk": (PROGRAM + "disks: [{id: a, path: PATH, format: raw}]\n", "file"),
    "read-only disk": (PROGRAM + "disks: [{id: a, path: PATH, format: raw, read_only: true}]\n", "file"),
    "console": (PROGRAM + "console: {output: PATH}\nstop: {on_sigterm: kill}\n", "file"),
    "console device": (
        PROGRAM + "console: {devices: [{type: virtio, output: {file: PATH}}]}\n", "file",
    ),
    "kernel": (PROGRAM + "boot: {kernel: {path: PATH, format: elf}}\n", "file"),
    "share": (PROGRAM.join(["", "overlay_is_none: 1\n"]), "directory"),
    "vsock": (PROGRAM + "vsock: [{port: 9, socket: PATH, listen: true}]\n", "socket"),
    "network": ("", "socket"),
}  # fmt: skip


def text(key: str, path: str) -> str:
    """A box that names PATH by KEY."""
    if key == "share":
        share = f", {{tag: t, path: {path}, read_only: false}}]"
        return BOX.replace("]\n", f"{share}\n", 1) + PROGRAM
    if key == "network":
        return BOX.replace("{mode: none}", f"{{mode: unixstream, socket: {path}}}") + PROGRAM
    return BOX + KEYS[key][0].replace("PATH", path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directories of the box, and what the host keeps beside them."""
    for name in ("rootfs/run", "share/sub", "kept/below"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("kept/x", "kept/below/x"):
        (tmp_path / name).write_text(SECRET)
    (tmp_path / "also").symlink_to("share")
    (tmp_path / "around").symlink_to("rootfs/../share/sub/..")
    return tmp_path


def launched(place: Path, launch: Callable[..., Launch], box: str) -> Launch:
    (place / "box.yaml").write_text(box)
    assert main(["compile", str(place / "box.yaml")]) == 0
    return launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")


# How a path gets to a link of the guest's: the path in the box, and the link.
WAYS = {
    "itself": ("./share/x", "share/x", "../kept/x"),
    "its directory": ("./share/sub2/x", "share/sub2", "../kept"),
    "absolute": ("./share/x", "share/x", "{place}/kept/x"),
    "a directory above it": ("./share/sub2/below/x", "share/sub2", "../kept"),
    "in the root": ("./rootfs/run/x", "rootfs/run/x", "../../kept/x"),
    "by a link of the host": ("./also/x", "share/x", "../kept/x"),
    "by several": ("./around/x", "share/x", "../kept/x"),
    "within the share": ("./share/x", "share/x", "sub/y"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", KEYS)
def test_a_link_of_the_guest_is_not_followed(
    key: str, way: str, place: Path, launch: Callable[..., Launch]
) -> None:
    path, link, target = WAYS[way]
    (place / link).symlink_to(target.format(place=place))
    end = place / link
    while end.is_symlink() or not end.parent.exists():
        end = Path(os.path.normpath(end.parent / end.readlink()))
    leaf = end if path.endswith(Path(link).name) else end / path.split(Path(link).name + "/")[1]
    kind = KEYS[key][1]
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "directory":
            leaf.unlink(missing_ok=True)
            leaf.mkdir()
        elif kind == "socket":
            leaf.unlink(missing_ok=True)
            server.bind(str(leaf))
            server.listen() if key == "network" else server.close()
        else:
            leaf.write_text(SECRET)
        before = os.lstat(leaf)
        done = launched(place, launch, text(key, path))
        assert done.returncode == 125
        assert done.calls == []
        refusals = (
            "a link in a directory that a guest may write",
            "is not a regular file",
            "this is not a socket",
        )
        assert any(words in done.stderr for words in refusals), done.stderr
        assert SECRET not in done.stderr
        assert os.lstat(leaf).st_ino == before.st_ino
        if stat.S_ISREG(before.st_mode):
            assert leaf.read_text() == SECRET


@pytest.mark.parametrize("key", ["secret", "disk", "console", "network"])
def test_links_of_the_host_are_followed(
    key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """Elsewhere, and on the way to what a guest may write."""
    (place / "link").symlink_to("kept")
    (place / "share/x").write_text(SECRET)
    for path in ("./link/x", "./also/x"):
        with socket.socket(socket.AF_UNIX) as server:
            if key == "network":
                (place / path).unlink(missing_ok=True)
                server.bind(str(place / path))
                server.listen()
            assert launched(place, launch, text(key, path)).returncode == 7


def test_a_socket_that_a_running_guest_could_replace(
    place: Path, launch: Callable[..., Launch]
) -> None:
    """libkrun connects to it whenever the guest asks. The box's own text does not tell."""
    for path, status in (("./also/s", 125), ("./around/sub/s", 125), ("./kept/s", 7)):
        box = BOX + PROGRAM + f"vsock: [{{port: 9, socket: {path}, listen: false}}]\n"
        done = launched(place, launch, box)
        assert done.returncode == status
        assert ("in a directory that a guest may write" in done.stderr) == (status == 125)


# Links of the host's own that lead to `end` where a guest may write, each a name and its target, in
# the order in which they are made: the path in the box is the last of them, or goes through it.
LEADING = {
    "a link": (("way", "../share/end"),),
    "a link to a directory below": (("way", "../share/sub/end"),),
    "an absolute link": (("way", "{place}/share/end"),),
    "a link to a link": (("first", "../share/end"), ("way", "first")),
    "a link to an absolute link": (("first", "{place}/share/end"), ("way", "./first")),
    "a link to the directory": (("first", "../share"), ("way", "first/end")),
    "a link through a link of another name": (("way", "../also/sub/../end"),),
    "a link out and in again": (("way", "../share/sub/../../share/end"),),
    "a link into the root": (("way", "../rootfs/run/end"),),
    "a link through what it may write": (("way", "../share/sub/../../kept/end"),),
}


def leading(place: Path, way: str) -> tuple[str, Path]:
    """Make the links of WAY: the path for the box, and what it leads to."""
    (place / "opt").mkdir()
    for name, target in LEADING[way]:
        (place / "opt" / name).symlink_to(target.format(place=place))
    return "./opt/way", Path(os.path.realpath(place / "opt/way"))


@pytest.mark.parametrize("way", LEADING)
def test_a_program_that_a_guest_could_replace_behind_a_link(
    way: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """It would run on the host."""
    path, end = leading(place, way)
    end.write_text(f"#!/bin/sh\ntouch {place}/ran\n")
    end.chmod(0o755)
    network = f"{{mode: passt, program: {place / path}}}"
    done = launched(place, launch, BOX.replace("{mode: none}", network) + PROGRAM)
    assert (done.returncode, done.calls) == (125, [])
    assert "the guest could replace it" in done.stderr
    assert not (place / "ran").exists()


@pytest.mark.parametrize("what", ["a socket", "nothing", "a file on its way", "a closed directory"])
@pytest.mark.parametrize("way", LEADING)
def test_a_socket_that_a_guest_could_replace_behind_a_link(
    way: str, what: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """Also where it is missing or out of reach until the guest changes that."""
    path, end = leading(place, way)
    with socket.socket(socket.AF_UNIX) as server:
        if what == "a socket":
            server.bind(str(end))
        elif what == "a file on its way":
            end.write_text("")
        elif what == "a closed directory":
            end.mkdir(0o000)
        box = BOX + PROGRAM + f"vsock: [{{port: 9, socket: {path}/s, listen: false}}]\n"
        done = launched(place, launch, box.replace("/s,", ",") if what == "a socket" else box)
    assert (done.returncode, done.calls) == (125, [])
    assert "a directory that a guest may write, or a link leads there" in done.stderr


def test_the_runtime_directory(place: Path, launch: Callable[..., Launch]) -> None:
    """Where --runtime-dir lies in what the guest may write."""
    (place / "share/run").symlink_to("../kept")
    (place / "box.yaml").write_text(text("console", "runtime:c.log"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    runtime = ("--runtime-dir", str(place / "share/run/r"))
    done = launch(place / "box.plan.json", *runtime)
    assert done.returncode == 125
    assert "a link in a directory that a guest may write" in done.stderr
    assert sorted(os.listdir(place / "kept")) == ["below", "x"]


@pytest.mark.parametrize("name", ["a", "c"])  # its turn comes before that of b, and after it
@pytest.mark.parametrize("jobs", [[], ["-j1"]])
def test_what_the_guest_of_another_plan_may_write(
    jobs: list[str], name: str, place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    (place / f"{name}.yaml").write_text(BOX.replace("written", name) + PROGRAM)
    (place / "b.yaml").write_text(
        "krunc: 1\nname: b\nrootfs: {path: ./other}\nnetwork: {mode: none}\n"
        "entrypoint: {executable: /dev/true, env: {T: {from_file: ./share/x}}}\n"
    )
    (place / "other").mkdir()
    (place / "share/x").symlink_to("../kept/x")
    assert main(["compile", str(place / f"{name}.yaml"), str(place / "b.yaml")]) == 0
    command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(place / "run")]
    command += ["--log-dir", str(place / "logs"), *jobs, str(place)]
    environment = {**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"krunc: {name}: ended with status 0" in done.stderr
    assert "a link in a directory that a guest may write" in (place / "logs/b.err").read_text()


def test_which_paths_a_guest_may_replace(place: Path) -> None:
    """By what they lead to, not by their names."""
    directories = Directories(str(place), str(place / "run"), [str(place / "also")])
    for path, written in (
        ("share/x", True), ("also/x", True), ("around/x", True), ("share/sub/none/x", True),
        ("kept/x", False), ("share", False), ("none/x", False), ("share/../kept/x", False),
    ):  # fmt: skip
        assert directories.is_written(str(place / path)) == written, path
    (place / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        directories.open(str(place / "loop/x"), os.O_RDONLY)


@pytest.mark.parametrize("way", LEADING)
def test_every_name_on_the_way_is_asked_for(way: str, place: Path) -> None:
    directories = Directories(
        str(place), str(place / "run"), [str(place / "share"), str(place / "rootfs")]
    )
    path, _ = leading(place, way)
    assert directories.is_written(str(place / path))
    assert directories.is_written(f"{place / path}/below")
    # Nobody but the host replaces the link itself.
    assert not directories.is_written(str(place / path), follow=False)
    alone = Directories(str(place), str(place / "run"), [str(place / "none")])
    assert not alone.is_written(str(place / path))


def test_a_path_costs_no_look_at_what_others_write(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thousands of them."""
    looks: list[str] = []
    real = system.stat

    def counted(path: str) -> os.stat_result:
        looks.append(path)
        return real(path)

    monkeypatch.setattr(system, "stat", counted)
    directories = Directories(str(place), str(place / "run"), [str(place / "also")])
    assert not directories.is_written(str(place / "kept/x"))
    alone = len(looks)
    others = Directories(str(place), str(place / "run"), [str(place / "kept")])
    directories.others = others.identities()
    directories.others[0].update((0, number) for number in range(1000))
    looks.clear()
    assert directories.is_written(str(place / "kept/x"))
    assert len(looks) == alone
