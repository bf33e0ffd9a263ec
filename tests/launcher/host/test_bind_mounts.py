"""What a guest may write is that under each path by which mounts show it: no link there is followed, and
nothing there is started or connected to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
BOX = """\
krunc: 1
name: bound
rootfs: {path: ./rootfs}
shares: [{tag: s, path: ./share, read_only: false}]
network: {mode: none}
entrypoint: {executable: /dev/true}
"""
# How `view` comes to show what is below `share`: the commands, and the path by it of share/below.
SHOWN = {
    "a directory": ("mount --bind share/below view", "view"),
    "a directory above it": ("mount --bind share view", "view/below"),
    "by a second mount": ("mount --bind share/below other && mount --bind other view", "view"),
    "the share by a mount itself": (
        "mount --bind share other && mount --bind share/below view && mount --bind other share", "view",
    ),
    "with what hides another": ("mount -t tmpfs none view && mount --bind share/below view", "view"),
    "another file system": (
        "mount -t tmpfs none share/below && mkdir share/below/in && ln -s ../../../kept share/below/in/sub &&"
        " cp passt share/below/in && mount --bind share/below view", "view/in",
    ),
    "by a name with spaces": ("mkdir -p 'v i/e\\w' && mount --bind share/below 'v i/e\\w'", "v i/e\\w"),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("rootfs/run", "share/below", "kept", "view", "other", "opt"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "kept/disk.img").write_bytes(bytes(512))
    # Of the guest's making.
    (tmp_path / "share/below/sub").symlink_to("../../kept")
    for name in ("share/below/passt", "passt"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def launched(place: Path, mounts: str, box: str, build: Callable[..., Path], kvm: Path) -> str:
    """Launch BOX where MOUNTS were made: what is said, behind the status."""
    (place / "box.yaml").write_text(box)
    assert main(["compile", str(place / "box.yaml")]) == 0
    words = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(place / "run")]
    script = f'{mounts} && export LD_PRELOAD={kvm} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", *words, str(place / "box.plan.json")],
        env={**os.environ, "KRUN_RECORDER_EXIT": "7"},
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"{done.returncode} {done.stderr}"


@pytest.mark.parametrize("shown", SHOWN)
def test_no_link_is_followed_there(
    shown: str, place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    mounts, view = SHOWN[shown]
    disk = f'disks: [{{id: d, path: "./{view}/sub/disk.img", format: raw}}]\n'
    said = launched(place, mounts, BOX + disk.replace("\\", "\\\\"), build, fake_kvm)
    assert said.startswith("125 "), said
    assert "a link in a directory that a guest may write leads elsewhere" in said


@pytest.mark.parametrize("path", ["directory", "file", "link"])
@pytest.mark.parametrize("shown", SHOWN)
def test_no_program_is_started_from_there(
    shown: str, path: str, place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    mounts, view = SHOWN[shown]
    program = f"{place}/{view}/passt"
    if path == "file":
        (place / "opt/passt").write_text("")
        mounts += f' && mount --bind "{program}" opt/passt'.replace("\\", "\\\\")
        program = f"{place}/opt/passt"
    elif path == "link":
        (place / "opt/passt").symlink_to(program)
        program = f"{place}/opt/passt"
    network = f'{{mode: passt, program: "{program}"}}'.replace("\\", "\\\\")
    box = BOX.replace("{mode: none}", network)
    said = launched(place, mounts, box, build, fake_kvm)
    assert said.startswith("125 "), said
    assert "the guest could replace it" in said
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    "mounts",
    ["mount --bind kept view", "mount --bind . view", "mount --bind other share/below", "true"],
)
def test_other_mounts_are_no_hindrance(
    mounts: str, place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """The host's own link, and a disk beside the share, by whatever mount."""
    (place / "link").symlink_to("view/../kept")
    box = f"{BOX}disks: [{{id: d, path: ./link/disk.img, format: raw}}]\n"
    said = launched(place, mounts, box, build, fake_kvm)
    assert said.startswith("7 "), said
