"""The exit record as a file: written whole or not at all, over nothing that is not one, and seen to be
missing."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from processes import wait_until
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX = """\
krunc: 1
name: box
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/a, env: {TOKEN: {from_env: TOKEN}}}
hostname: staged
"""
WELL = {"KRUN_RECORDER_EXIT": "0", "KRUN_RECORDER_SAYS": "started\nexit 0\n", "TOKEN": "x"}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan whose VM ends with 0."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


def test_the_record_says_why_a_plan_is_refused(plan: Path, launch: Callable[..., Launch]) -> None:
    path = plan.with_name("exit.json")
    plan.write_text(plan.read_text().replace('"num_vcpus": 4', '"num_vcpus": 0'))
    done = launch(plan, "--exit-record", str(path), TOKEN="x")
    record = json.loads(path.read_text())
    assert "num_vcpus: found 0; allowed: 1 to 255" in record["message"]
    assert record["message"] in done.stderr
    assert record["program_seen"] is False


def test_an_exit_record_goes_into_a_pipe(plan: Path, launch: Callable[..., Launch]) -> None:
    """A rename over a pipe, or over /dev/null, would put a file in its place."""
    path = plan.with_name("pipe")
    os.mkfifo(path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        launch(plan, "--exit-record", str(path), TOKEN="x", KRUN_RECORDER_EXIT="7")
        assert json.loads(reader.read())["status"] == 7
    assert path.is_fifo()


# What cannot be replaced, and is written into; the redirections of a shell that make it so.
STREAMS = {
    "/dev/stdout": ">>out",
    "/dev/stderr": "2>>out",
    "/dev/fd/1": ">>out",
    "/proc/self/fd/7": "7>>out",
    "//dev/./stdout": ">>out",
    "way/stdout": ">>out",
    "first": ">>out",
    "/dev/fd/8": "8> >(cat >>out)",
}


@pytest.mark.parametrize("name", STREAMS)
def test_an_exit_record_goes_into_an_open_file(
    name: str, plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """Behind what is in it: the guest may have printed that. The link stays."""
    at = plan.parent
    (at / "way").symlink_to("/dev")
    (at / "first").symlink_to("/dev/stdout")
    (at / "out").write_text("")
    words = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(at / "run")]
    words += ["--exit-record", name, str(plan)]
    script = f'export LD_PRELOAD={fake_kvm}; exec "$@" {STREAMS[name]}'
    done = subprocess.run(
        ["bash", "-c", f"echo printed >>out; {script}", "bash", *words],
        env={**os.environ, **WELL}, cwd=at, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_until(lambda: (at / "out").read_text().endswith("}\n"))
    printed, record = (at / "out").read_text().splitlines()
    assert (printed, json.loads(record)["status"]) == ("printed", 0)
    assert os.readlink("/dev/stdout") == "/proc/self/fd/1"
    assert (at / "first").is_symlink()
    assert left(at) == []


def made_a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


NO_PLACE: dict[str, Callable[[Path], object]] = {
    "a directory": lambda path: path.mkdir(),
    "a link to a directory": lambda path: path.symlink_to("."),
    "a socket": made_a_socket,
    "a block device": lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0)),
}


@pytest.mark.parametrize("what", NO_PLACE)
def test_what_a_record_can_neither_replace_nor_go_into(
    what: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    """Before the start, not behind the VM: of a disk its first bytes would be lost."""
    if what == "a block device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    ends = plan.with_name("ends")
    ends.mkdir()
    NO_PLACE[what](ends / "box.json")
    said = (
        f"krunc: the exit record {ends}/box.json cannot be written: this is neither a file nor a "
        "pipe, a terminal or the like; name another one\n"
    )
    done = launch(plan, "--exit-record", str(ends / "box.json"), **WELL)
    assert (done.returncode, done.stderr, done.calls) == (125, said, [])
    logs = ("--log-dir", str(plan.with_name("logs")))
    done = launch(plan, *logs, "--exit-record", str(ends), **WELL)
    assert (done.returncode, done.stderr, done.calls) == (2, said, [])


def test_an_exit_record_that_cannot_be_written_is_told(
    plan: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(plan, "--exit-record", "/nowhere/x", TOKEN="x", KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7
    said = "krunc: the exit record /nowhere/x cannot be written: no such file or directory\n"
    assert done.stderr == said


def left(directory: Path) -> list[str]:
    """The files of a launch that a directory should not have."""
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


def test_a_record_that_is_lost_is_no_success(plan: Path, launch: Callable[..., Launch]) -> None:
    assert launch(plan, "--exit-record", "/nowhere/x", **WELL).returncode == 1
    logs = ("--log-dir", str(plan.with_name("logs")))
    ends = plan.with_name("ends")
    ends.mkdir()
    os.mkfifo(ends / "box.json")  # that nobody reads
    done = launch(plan, *logs, "--exit-record", str(ends), **WELL)
    assert (done.returncode, "box.json cannot be written" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("before", [None, b"", b'{"krunc_exit": 1, "status": 3}\n'])
@pytest.mark.parametrize("most", [1, 2])
def test_half_a_record_takes_no_place(most: int, before: bytes | None, plan: Path) -> None:
    """Of 1,024 bytes, or twice that: a write takes what fits, and only the next one fails."""
    record = plan.with_name("exit.json")
    if before is not None:
        record.write_bytes(before)
    name = "n" * 200
    bad = plan.with_name(f"{name}.plan.json")
    bad.write_text(json.dumps({"krunc_plan": 1, **{f"unknown-{n}": 1 for n in range(60)}}))
    command = [*LAUNCHER, "--exit-record", str(record), str(bad)]
    limited = f'ulimit -f {most}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", limited, "bash", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 125
    assert f"the exit record {record} cannot be written: file too large" in done.stderr
    assert (record.read_bytes() if record.exists() else None) == before
    assert left(plan.parent) == []
    subprocess.run(command, capture_output=True, check=False)
    assert len(json.loads(record.read_bytes())["message"]) > 2048


def test_on_a_full_disk_no_record_goes_into_a_device(
    plan: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(plan, "--exit-record", "/dev/full", **WELL)
    assert (done.returncode, done.stderr) == (
        1, "krunc: the exit record /dev/full cannot be written: no space left on device\n",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["e" * 255, "\u00e9" * 127, ".json", "a b", "-"])
def test_a_record_has_any_name_that_a_file_can_have(
    name: str, plan: Path, launch: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plan.parent)
    for option in (f"--exit-record={name}", f"--exit-record={plan.with_name(name)}"):
        assert launch(plan, option, **WELL).returncode == 0
        assert json.loads(plan.with_name(name).read_text())["status"] == 0
        plan.with_name(name).unlink()
    assert left(plan.parent) == []


def test_a_vm_of_several_with_a_long_name_has_a_record(
    plan: Path, launch: Callable[..., Launch]
) -> None:
    long = plan.with_name("b" * 245 + ".plan.json")
    plan.rename(long)
    ends = plan.with_name("ends")
    logs = ("--log-dir", str(plan.with_name("logs")))
    launch(long, *logs, "--exit-record", str(ends), **WELL)
    assert [path.name for path in ends.iterdir()] == ["b" * 245 + ".json"]


@pytest.mark.parametrize(
    "name", ["caf\u00e9", "\u4e2d", "a\udcff", "a\x07", "\u202e", '"', "\\", "\U0001f600"]
)
def test_whatever_a_plan_is_called_the_record_is_json(name: str, plan: Path) -> None:
    bad = plan.with_name(f"{name}.plan.json")
    bad.write_bytes(b"{")
    record = plan.with_name("exit.json")
    words = [*LAUNCHER, "--exit-record", str(record), str(bad)]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 125, done.stderr
    assert json.loads(record.read_bytes())["message"] == done.stderr.decode().rstrip("\n")


PRECIOUS: dict[str, Callable[[Path, Path], object]] = {
    "the plan": lambda plan, there: there.write_bytes(plan.read_bytes()),
    "an image": lambda plan, there: there.write_bytes(b"\0" * 512),
    "a word": lambda plan, there: there.write_text("{"),
    "other JSON": lambda plan, there: there.write_text('{"krunc_plan": 1}'),
    "a link to a plan": lambda plan, there: there.symlink_to(plan),
    "a hard link to a plan": lambda plan, there: os.link(plan, there),
}


@pytest.mark.parametrize("what", PRECIOUS)
def test_nothing_else_is_replaced_and_no_vm_started(
    what: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    there = plan.with_name("ends") / "box.json"
    there.parent.mkdir()
    PRECIOUS[what](plan, there)
    before = there.read_bytes()
    said = (
        f"krunc: the exit record {there} cannot be written: the file that is there is not an exit "
        "record; name another one\n"
    )
    done = launch(plan, "--exit-record", str(there), **WELL)
    assert (done.returncode, done.stderr, done.calls) == (125, said, [])
    logs = ("--log-dir", str(plan.with_name("logs")))
    done = launch(plan, *logs, "--exit-record", str(there.parent), **WELL)
    assert (done.returncode, done.stderr, done.calls) == (2, said, [])
    assert there.read_bytes() == before


def test_the_plan_itself_is_not_replaced(plan: Path, launch: Callable[..., Launch]) -> None:
    before = plan.read_bytes()
    assert launch(plan, "--exit-record", str(plan), **WELL).returncode == 125
    assert plan.read_bytes() == before
    assert launch(plan, "--exit-record", str(plan.with_name("end")), **WELL).returncode == 0
    assert launch(plan, "--exit-record", str(plan.with_name("end")), **WELL).returncode == 0
