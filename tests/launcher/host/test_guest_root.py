"""What of the guest's root a launch looks at before it: the working directory, who else writes it,
and whether a guest gets the runtime directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import Launch
from roots import runnable

WORKS = {"entrypoint": {"executable": "/bin/a"}}
# The ways in which a program starts: by libkrun's init and by the stage, itself and by a script.
STARTS: dict[str, dict[str, Any]] = {
    "by init": WORKS,
    "a script, by init": {"entrypoint": {"script": "pwd"}},
    "by the stage": {**WORKS, "hostname": "here"},
    "a script, by the stage": {"entrypoint": {"script": "pwd"}, "hostname": "here"},
    "with discarded changes": {**WORKS, "rootfs": {"path": "./rootfs", "changes": "discard"}},
}


def launched(
    directory: Path, launch: Callable[..., Launch], keys: dict[str, Any], *options: str
) -> Launch:
    """A launch of a box with KEYS for libkrun 2.0."""
    for program in ("/bin/a", "/bin/sh"):
        runnable(directory / "rootfs", program)
    box = {"krunc": 1, "name": "box", "rootfs": {"path": "./rootfs"}, "network": {"mode": "none"}}
    (directory / "box.yaml").write_text(json.dumps({**box, **keys}))
    assert main(["compile", str(directory / "box.yaml"), "--target", "2"]) == 0
    return launch(directory / "box.plan.json", *options, KRUN_RECORDER_EXIT="7")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("workdir", ["/nowhere", "/bin/a", "/bin/a/b", "/dangling"])
def test_a_working_directory_that_is_missing(
    workdir: str, start: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs/dangling").symlink_to("/gone")
    keys = json.loads(json.dumps(STARTS[start]))
    keys["entrypoint"]["workdir"] = workdir
    done = launched(tmp_path, launch, keys)
    assert (done.returncode, done.calls) == (125, [])
    told = f"{workdir} is not a directory in the guest's root {tmp_path}/rootfs; make it"
    assert f"{told} (entrypoint" in done.stderr


MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "it is there": ("/here", {}),
    "a link leads to it": ("/link", {}),
    "of every guest": ("/proc/1", {}),
    "a mount": ("/new", {"tmpfs": ["/new"]}),
    "above a mount": ("/new", {"tmpfs": ["/new/a/b"]}),
    "below a mount": ("/new/a", {"shares": [{"tag": "s", "path": "./s", "mount": "/new"}]}),
    "a link to above a mount": ("/dangling", {"tmpfs": ["/gone/a"]}),
    "a script makes it": ("/new", {"before": "mkdir /new"}),
    "a file of the box": ("/new", {"overlay": [{"path": "/new", "directory": True}]}),
}


@pytest.mark.parametrize("case", MADE)
def test_a_working_directory_that_may_be_there(
    case: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    (tmp_path / "rootfs/here").mkdir(parents=True)
    (tmp_path / "s").mkdir()
    (tmp_path / "rootfs/link").symlink_to("here")
    (tmp_path / "rootfs/dangling").symlink_to("/gone")
    workdir, keys = MADE[case]
    entrypoint = {"executable": "/bin/a", "workdir": workdir}
    box: dict[str, Any] = {"entrypoint": entrypoint, **keys}
    if "before" in keys:
        entrypoint["before"] = box.pop("before")
    if "overlay" in keys:
        box["rootfs"] = {"path": "./rootfs", "overlay": box.pop("overlay")}
    done = launched(tmp_path, launch, box)
    assert (done.returncode, done.stderr) == (7, ""), done


KEPT: dict[str, dict[str, Any]] = {
    "discarded changes": {"path": "./rootfs", "changes": "discard"},
    "no changes": {"path": "./rootfs", "read_only": True},
}


@pytest.mark.parametrize("root", KEPT)
@pytest.mark.parametrize("share", ["./link", "./above", "./above/rootfs", "./above/above"])
def test_a_root_that_another_share_lets_the_guest_write(
    share: str, root: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """Nothing of it may reach the host's directory, whatever leads to it."""
    (tmp_path / "link").symlink_to("rootfs")
    (tmp_path / "above").symlink_to(".")
    shares = [{"tag": "a", "path": share, "read_only": False}]
    done = launched(tmp_path, launch, {**WORKS, "rootfs": KEPT[root], "shares": shares})
    assert (done.returncode, done.calls) == (125, [])
    assert (
        f"root {tmp_path}/rootfs is read-only, and another share lets the guest write it"
        in done.stderr
    )
    for well in (
        {"rootfs": {"path": "./rootfs"}, "shares": shares},
        {"rootfs": KEPT[root], "shares": [{**shares[0], "read_only": True}]},
        {"rootfs": KEPT[root], "shares": [{**shares[0], "path": "./other"}]},
    ):
        (tmp_path / "other").mkdir(exist_ok=True)
        for place in ("dev", "proc", "sys"):
            (tmp_path / "rootfs" / place).mkdir(exist_ok=True)
        done = launched(tmp_path, launch, {**WORKS, **well}, "--runtime-dir", "/run/krunc-test")
        assert "lets the guest write it" not in done.stderr


@pytest.mark.parametrize("start", ["by init", "by the stage"])
@pytest.mark.parametrize("share", ["./run", ".", "./link", "./run/box", "/"])
@pytest.mark.parametrize("read_only", [True, False])
def test_run_is_shared(
    read_only: bool, share: str, start: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """There are the orders of other VMs, with their secrets, and the stage that they start with."""
    (tmp_path / "run/box").mkdir(parents=True)
    (tmp_path / "run/box").chmod(0o700)
    (tmp_path / "link").symlink_to("run")
    shares = [{"tag": "a", "path": share, "read_only": read_only}]
    options = ("--runtime-dir", str(tmp_path / "run/box"))
    done = launched(tmp_path, launch, {**STARTS[start], "shares": shares}, *options)
    assert (done.returncode, done.calls) == (125, [])
    does = "read, and with it the secrets of other VMs" if read_only else "write to"
    assert f"{tmp_path}/run/box is in a directory that a guest may {does}" in done.stderr
    # By a link that lies in the share itself, too: what is read-only has none of a guest's.
    if read_only:
        (tmp_path / "run/way").symlink_to("box")
        by_link = ("--runtime-dir", str(tmp_path / "run/way"))
        done = launched(tmp_path, launch, {**STARTS[start], "shares": shares}, *by_link)
        assert (done.returncode, done.calls) == (125, [])
        assert "is in a directory that a guest may read" in done.stderr
        (tmp_path / "run/way").unlink()
    (tmp_path / "run/other").mkdir()
    shares[0]["path"] = "./run/other"
    done = launched(tmp_path, launch, {**STARTS[start], "shares": shares}, *options)
    assert (done.returncode, done.stderr) == (7, ""), done
