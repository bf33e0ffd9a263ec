"""A root that is read-only and lacks a place to mount something at is told before the start."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import Launch
from roots import runnable

SAYS = "started\nexit 7\n"
HOSTS, RESOLVER = "/etc/hosts", "/etc/resolv.conf"
READ_ONLY: dict[str, Any] = {"rootfs": {"path": "./rootfs", "read_only": True}}
# A box that has the stage and mounts nothing at a path of its root.
STAGED: dict[str, Any] = {"entrypoint": {"executable": "/bin/a", "user": "1000:1000"}}
SHARE = {"tag": "s", "path": "./share"}
DISK = {"id": "d", "path": "./disk.img", "format": "raw", "read_only": True}
# What a box mounts, which path its root has to have, and the key that the message names.
KEYS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a share": ({"shares": [{**SHARE, "mount": "/src"}]}, "/src", "shares[0].mount"),
    "a deep share": ({"shares": [{**SHARE, "mount": "/deep/b/c"}]}, "/deep/b/c", "shares[0].mount"),
    "a share with spaces": ({"shares": [{**SHARE, "mount": "/a b/c'd"}]}, "/a b/c'd", "shares[0]"),
    "a disk": ({"disks": [{**DISK, "mount": "/data"}]}, "/data", "disks[0].mount"),
    "a tmpfs": ({"tmpfs": ["/tmp"]}, "/tmp", "tmpfs[0]"),
    "a tmpfs of a size": ({"tmpfs": [{"path": "/run", "size": "1MiB"}]}, "/run", "tmpfs[0]"),
    "a host name": ({"hostname": "h"}, HOSTS, "hostname"),
    "a host": ({"hosts": {"one": "10.0.0.1"}}, HOSTS, "hosts.one"),
    "a name server": ({"dns": ["10.0.0.1"]}, RESOLVER, "dns[0]"),
}


def launched(
    at: Path, launch: Callable[..., Launch], *keys: dict[str, Any], target: str = "1.18"
) -> Launch:
    box: dict[str, Any] = {
        "krunc": 1,
        "name": "mounts",
        "network": {"mode": "none"},
        "entrypoint": {"executable": "/bin/a"},
        **READ_ONLY,
    }
    for more in keys:
        box |= more
    (at / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", "--target", target, str(at / "box.yaml")]) == 0
    (at / "share").mkdir(exist_ok=True)
    (at / "disk.img").write_bytes(bytes(512))
    return launch(at / "box.plan.json", KRUN_RECORDER_EXIT="7", KRUN_RECORDER_SAYS=SAYS)


def refused(done: Launch) -> str:
    assert (done.returncode, done.calls) == (125, []), done
    (line,) = done.stderr.splitlines()
    return line


def starts(done: Launch) -> None:
    assert (done.returncode, done.stderr) == (7, ""), done


def follow(line: str) -> None:
    """Do what the message says, with a shell."""
    command = line.partition(" to mount at; ")[2].rpartition(" (")[0]
    assert shlex.split(command)[0] == "mkdir"
    subprocess.run(["sh", "-c", command], check=True)


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("lost", [["dev"], ["proc"], ["sys"], ["dev", "proc", "sys"]])
def test_what_every_guest_mounts(
    lost: list[str], staged: bool, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    runnable(tmp_path / "rootfs")
    for name in lost:
        (tmp_path / "rootfs" / name).rmdir()
    keys = STAGED if staged else {}
    line = refused(launched(tmp_path, launch, keys))
    named = ", ".join(f"/{name}" for name in lost)
    assert f"rootfs is read-only and has no directory {named} to mount at; mkdir -p " in line
    assert line.endswith("(rootfs.path)" if staged else "(rootfs)")
    follow(line)
    starts(launched(tmp_path, launch, keys))


@pytest.mark.parametrize("what", KEYS)
def test_what_the_box_mounts(what: str, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    keys, path, key = KEYS[what]
    runnable(tmp_path / "rootfs")
    line = refused(launched(tmp_path, launch, keys))
    kind = "file" if path.startswith("/etc/") else "directory"
    assert f"is read-only and has no {kind} {path} to mount at; mkdir -p " in line
    assert f"({key}" in line
    follow(line)
    starts(launched(tmp_path, launch, keys))


@pytest.mark.parametrize("what", KEYS)
@pytest.mark.parametrize(
    "root",
    [
        {"path": "./rootfs", "changes": "discard"},
        {"path": "./rootfs", "changes": {"disk": "kept"}},
        {"path": "./rootfs"},
    ],
    ids=["changes are lost", "changes are kept", "changes of the host"],
)
def test_a_root_in_which_they_can_be_made(
    root: dict[str, Any], what: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """With an overlay, or the host's own directory."""
    runnable(tmp_path / "rootfs")
    keys = {**KEYS[what][0], "rootfs": root}
    if "disk" in str(root):
        kept = {"id": "kept", "path": "./kept.img", "format": "raw"}
        keys["disks"] = [*keys.get("disks", ()), kept]
        (tmp_path / "kept.img").write_bytes(bytes(512))
    for name in ("dev", "proc", "sys"):
        (tmp_path / "rootfs" / name).rmdir()
    starts(launched(tmp_path, launch, keys))


def wrong_file(root: Path, path: str) -> None:
    (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / path[1:]).touch()


def wrong_directory(root: Path, path: str) -> None:
    (root / path[1:]).mkdir(parents=True)


def nowhere(root: Path, path: str) -> None:
    (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / path[1:]).symlink_to("/none/there")


def above(root: Path, path: str) -> None:
    (root / path.split("/")[1]).symlink_to("none")


@pytest.mark.parametrize("fill", [nowhere, wrong_file, wrong_directory, above])
@pytest.mark.parametrize("what", ["a deep share", "a host name", "a name server", "a tmpfs"])
def test_something_else_is_there(
    what: str, fill: Callable[[Path, str], None], tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """Then no command is told: one that follows a link could change the host's own files."""
    keys, path, key = KEYS[what]
    runnable(tmp_path / "rootfs")
    fill(tmp_path / "rootfs", path)
    done = launched(tmp_path, launch, keys)
    right = wrong_file if path.startswith("/etc/") else wrong_directory
    if fill is right:
        starts(done)
        return
    line = refused(done)
    assert f"{path} to mount at; make it by hand: something else is there, or a link is" in line
    assert f"({key}" in line


@pytest.mark.parametrize("to", ["target", "/target", "../target", "/other", "../../../../target"])
@pytest.mark.parametrize("what", KEYS)
def test_links_lead_where_they_lead_for_the_guest(
    what: str, to: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    keys, path, _ = KEYS[what]
    root = tmp_path / "rootfs"
    runnable(root)
    (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / path[1:]).symlink_to(to)
    (root / "other").symlink_to("target")
    place = (root / path[1:]).parent if not to.startswith(("/", "..")) else root
    if to == "../target":
        place = (root / path[1:]).parent.parent if path.count("/") > 1 else root
    if path.startswith("/etc/"):
        (place / "target").touch()
    else:
        (place / "target").mkdir()
    starts(launched(tmp_path, launch, keys))


# What lies in an earlier mount is made there, or it cannot be told.
INSIDE: dict[str, dict[str, Any]] = {
    "below a tmpfs": {"tmpfs": ["/at", "/at/deep"]},
    "a share below a tmpfs": {"tmpfs": ["/at"], "shares": [{**SHARE, "mount": "/at/src"}]},
    "by a link": {"tmpfs": ["/at"], "shares": [{**SHARE, "mount": "/to/src"}]},
    "files below a tmpfs": {"tmpfs": ["/etc"], "hostname": "h", "dns": ["10.0.0.1"]},
    "below a disk": {"disks": [{**DISK, "mount": "/at"}], "tmpfs": ["/at/deep"]},
}


@pytest.mark.parametrize("what", INSIDE)
def test_what_is_mounted_before(what: str, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    runnable(tmp_path / "rootfs")
    for name in ("at", "etc"):
        (tmp_path / "rootfs" / name).mkdir()
    (tmp_path / "rootfs/to").symlink_to("at")
    starts(launched(tmp_path, launch, INSIDE[what]))


def test_each_is_told_once(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    runnable(tmp_path / "rootfs")
    (tmp_path / "rootfs/sys").rmdir()
    keys = [keys for keys, _, _ in KEYS.values()]
    share = {"shares": [{**SHARE, "mount": "/src"}]}
    done = launched(tmp_path, launch, *keys, share)
    assert done.returncode == 125
    named = [
        line.partition(" has no ")[2].partition(" to mount")[0] for line in done.stderr.splitlines()
    ]
    assert sorted(named) == [
        "directory /data", "directory /run", "directory /src", "directory /sys",
        f"file {HOSTS}", f"file {RESOLVER}",
    ]  # fmt: skip


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("path", ["/sys", "/sys/in"])
def test_what_libkrun_lays_over_the_root_is_there(
    path: str, staged: bool, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    runnable(tmp_path / "rootfs")
    (tmp_path / "rootfs/sys").rmdir()
    rows = [{"path": "/sys", "directory": True}, {"path": path, "directory": True}]
    root = {**READ_ONLY["rootfs"], "overlay": rows[-1:] if path == "/sys" else rows}
    starts(launched(tmp_path, launch, {"rootfs": root, **(STAGED if staged else {})}, target="2"))
