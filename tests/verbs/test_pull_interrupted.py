"""A pull that is interrupted: nothing in the store but what the next pull removes, and no lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_registry import Server, hostile, stalls
from processes import children, gone, started, wait_until
from registry import Layout, Registry, box, small, trusting
from terminals import on_terminal

KRUNC = [sys.executable, "-m", "krunc"]


@pytest.fixture
def stalling(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A registry that sends half of a layer, and a box of its image."""
    monkeypatch.chdir(tmp_path)
    with hostile(layout, layout.image(small(os.urandom(1 << 20))), {"blobs": stalls}) as server:
        trusting(tmp_path / "home", server.host)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("KRUNC_STORE", str(tmp_path / "store"))
        box(f"{server.host}/app:it")
        yield server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_while_it_fetches(number: signal.Signals, stalling: Server, layout: Layout) -> None:
    with started([*KRUNC, "pull", "web.yaml"], stderr=subprocess.PIPE) as process:
        wait_until(stalling.has_stalled.is_set, process)
        (skopeo,) = children(process.pid)
        process.send_signal(number)
        process.wait()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == -number
    # No skopeo goes on without its krunc.
    assert gone(skopeo)
    left = os.listdir("store")
    assert len(left) == (number == signal.SIGKILL)
    assert not Path("web.lock.json").exists()
    stalling.answers.clear()
    subprocess.run([*KRUNC, "pull", "web.yaml"], check=True, capture_output=True)
    assert {Path(name).suffix for name in os.listdir("store")} == {".erofs", ".checked", ".image"}


def test_two_at_once(stalling: Server) -> None:
    """Each does all of it by itself, and neither takes what the other has not finished."""
    with started([*KRUNC, "pull", "web.yaml"], stderr=subprocess.PIPE) as first:
        wait_until(stalling.has_stalled.is_set, first)
        stalling.answers.clear()
        subprocess.run([*KRUNC, "pull", "web.yaml"], check=True, capture_output=True)
        assert len([name for name in os.listdir("store") if name.startswith(".pull-")]) == 1
        before = Path("web.lock.json").read_bytes()
        first.terminate()
        first.wait()
    assert Path("web.lock.json").read_bytes() == before
    assert not [name for name in os.listdir("store") if name.startswith(".pull-")]


def test_many_at_once(
    tmp_path: Path, layout: Layout, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layout.tag(layout.image(small(os.urandom(1 << 16))), "it")
    box(registry.push(layout, "it", "many-at-once:1"))
    environment = {**os.environ, "HOME": str(registry.home), "KRUNC_STORE": "store"}
    commands = [subprocess.Popen([*KRUNC, "pull", "-q", "."], env=environment) for _ in range(4)]
    assert [command.wait() for command in commands] == [0] * 4
    assert len(os.listdir("store")) == 3


def test_a_full_disk(tmp_path: Path, layout: Layout, registry: Registry) -> None:
    """A file system of its own that is full: everything else stays as it was."""
    small_disk = tmp_path / "disk"
    small_disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", small_disk],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root mounts")
    try:
        # Random bytes are as long when they are packed, others are not.
        layout.tag(layout.image(small(os.urandom(2 << 20))), "large")
        layout.tag(layout.image(small(b"abcd" * (1 << 20))), "packed")
        os.chdir(tmp_path)
        environment = {**os.environ, "HOME": str(registry.home), "KRUNC_STORE": "disk/store"}
        for tag, said in [("large", b"bytes are free"), ("packed", b"no space left on device")]:
            command = [*KRUNC, "pull", box(f"oci:layout:{tag}")]
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert done.returncode == 1
            assert said in done.stderr
            assert b"KR714" in done.stderr
            assert os.listdir("disk/store") == []
            assert not Path("web.lock.json").exists()
        # On another file system than the box it is as good.
        layout.tag(layout.image(small()), "fits")
        command = [*KRUNC, "pull", box("oci:layout:fits")]
        subprocess.run(command, env=environment, capture_output=True, check=True)
        assert len(os.listdir("disk/store")) == 3
    finally:
        subprocess.run(["umount", "-l", small_disk], check=True)


def test_progress_is_for_a_terminal(tmp_path: Path, layout: Layout, registry: Registry) -> None:
    layout.tag(layout.image(small(os.urandom(4 << 20))), "it")
    os.chdir(tmp_path)
    name = registry.push(layout, "it", "progress:1")
    box(name)
    environment = {**os.environ, "HOME": str(registry.home), "TERM": "xterm"}
    for store, options in [("one", []), ("two", ["-q"]), ("three", ["--json"])]:
        command = [*KRUNC, "pull", "--store", store, *options, "web.yaml"]
        status, written = on_terminal(command, environment, ["stderr"])
        assert status == 0
        assert (b"\r" + f"{name}: writing 4.0 MiB of 4.0 MiB".encode() in written) == (
            options != ["-q"]
        )
        assert written.count(b"krunc: ") == (0 if options else 2)
        if not options:
            assert b"\r\x1b[Kkrunc: fetched" in written
    done = subprocess.run(
        [*KRUNC, "pull", "--store", "four", "web.yaml"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert b"writing" not in done.stderr
    assert done.stdout == b""
