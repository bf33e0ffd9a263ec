"""Paths of the host that are no files: proc shows what processes hold, and the guest gets none of it,
whichever key names it and however the path gets there. Devices are named as such or not given."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.paths import Directories, holds_devices
from recorder.fixtures import Launch
from roots import runnable

BOX = "krunc: 1\nname: views\nrootfs: {path: ROOT}\nnetwork: {mode: none}\n"
PROGRAM = "entrypoint: {executable: /bin/true}\n"
KEYS = {
    "root": PROGRAM,
    "share": PROGRAM + "shares: [{tag: s, path: PATH}]\n",
    "disk": PROGRAM + "disks: [{id: a, path: PATH, format: raw}]\n",
    "overlay": PROGRAM,
    "secret": "entrypoint: {executable: /bin/true, env: {T: {from_file: PATH}}}\n",
    "kernel": PROGRAM + "boot: {kernel: {path: PATH, format: elf}}\n",
    "console": PROGRAM + "console: {output: PATH}\nstop: {on_sigterm: kill}\n",
    "device": PROGRAM + "input_devices: [{device: PATH}]\n",
    "terminal": PROGRAM
    + "console: {devices: [{type: multiport, ports: [{name: p, terminal: PATH}]}]}\n",
    "socket": PROGRAM + "vsock: [{port: 9, socket: PATH, listen: true}]\n",
}
# Ways to write a path of proc; each is one at its first look.
TEXTS = [
    "/proc", "/proc/", "//proc/self/environ", "/proc/1/environ", "/proc/self/fd/3", "/proc/./self/mem",
    "/etc/../proc/self/environ", "/proc/thread-self/environ", "/dev/fd/0", "/dev/stdin", "/dev/stderr",
    "/dev/../proc", "/proc/sys/kernel/hostname",
]  # fmt: skip
DIRECTORIES = ("root", "share")


def box(key: str, path: str) -> str:
    root = path if key == "root" else "./rootfs"
    whole = BOX.replace("ROOT", root) + KEYS[key].replace("PATH", path)
    overlay = f"{{path: {root}, overlay: [{{path: e, file: {path}}}]}}"
    return whole.replace(f"{{path: {root}}}", overlay) if key == "overlay" else whole


@pytest.fixture
def place(tmp_path: Path) -> Path:
    runnable(tmp_path / "rootfs")
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", TEXTS)
def test_a_box_that_names_proc_is_refused(
    path: str, key: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "box.yaml").write_text(box(key, path))
    assert main(["compile", str(place / "box.yaml")]) == 1
    assert "KR213" in capsys.readouterr().err


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", TEXTS)
def test_a_plan_that_names_proc_is_refused(
    path: str, key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """Also one that somebody edits by hand, before anything of the host is looked at."""
    (place / "box.yaml").write_text(box(key, "/srv/xyz"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    plan = place / "box.plan.json"
    plan.write_text(plan.read_text().replace("/srv/xyz", path))
    for more, status in (((), 125), (("--dry-run",), 1)):
        done = launch(plan, *more)
        assert done.returncode == status
        assert done.calls == []
        assert "proc has no files" in done.stderr


# Ways to get there that no text tells: what stands in the box, and a link with its target.
WAYS = {
    "a relative path": ("{up}/proc/self/{name}", None),
    "a link to it": ("./link", "/proc/self/{name}"),
    "a link to its directory": ("./link/{name}", "/proc/self"),
    "a link to proc": ("./link/self/{name}", "/proc"),
    "a link to a link of proc": ("./link/{name}", "/proc/self/task/../"),
    "a link through a descriptor": ("./link", "/dev/fd/0"),
    "through the root of a process": ("./link/etc/hostname", "/proc/self/root"),
}


@pytest.mark.parametrize("key", ["root", "share", "disk", "overlay", "secret", "kernel", "console"])
@pytest.mark.parametrize("way", WAYS)
def test_what_turns_out_to_be_proc_is_refused(
    way: str, key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    path, target = WAYS[way]
    name = "task" if key in DIRECTORIES else "environ"
    up = "/".join([".."] * (str(place).count("/")))
    if target is not None:
        (place / "link").symlink_to(target.format(name=name))
    (place / "box.yaml").write_text(box(key, path.format(up=up, name=name)))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7", AWS_SECRET="hunter2")
    assert done.returncode == 125, done.stderr
    assert done.calls == []
    # A file that is emptied is no link at all.
    assert "proc has no files" in done.stderr or "is not a regular file" in done.stderr
    assert "hunter2" not in done.stderr


def test_the_one_place_that_opens_opens_nothing_of_proc(place: Path) -> None:
    directories = Directories(str(place), str(place / "run"))
    for path in ("/proc", "/proc/self/environ", "/proc/self/cwd", "/proc/self/fd/0", "/dev/fd/0"):
        with pytest.raises(OSError, match="proc has no files"):
            directories.open(path, os.O_RDONLY)
        with pytest.raises(OSError, match="proc has no files"):
            directories.status(path)
    assert directories.is_directory("/sys")
    os.close(directories.open("/dev/null", os.O_RDONLY))


def test_which_paths_hold_devices_by_their_text() -> None:
    for path in ("/", "//", "/x/..", "/dev", "/dev/sda", "//dev/./sda", "/dev/shm/../sda", "/sys"):
        assert holds_devices(path), path
    for path in ("/dev/shm", "/dev/shm/a", "/device", "./dev", "dev/sda", "../..", "/system"):
        assert not holds_devices(path), path


@pytest.mark.parametrize("key", ["share", "disk"])
@pytest.mark.parametrize(
    ("path", "target"),
    [("./link", "/dev"), ("{up}/dev", None), ("./link", "/"), ("{up}", None), ("./link", "/sys")],
)
def test_devices_that_no_review_could_show_are_refused(
    path: str, target: str | None, key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """What the text of a plan does not tell, the review cannot."""
    up = "/".join([".."] * (str(place).count("/")))
    if target is not None:
        (place / "link").symlink_to(target)
    (place / "box.yaml").write_text(box(key, path.format(up=up)))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")
    assert done.returncode == 125, done.stderr
    assert "which no review of this plan shows as a device" in done.stderr


# Ways to a device that is opened itself, each the path in the box and the links on it.
LED = {
    "a link": ("./way", {"way": "/dev/null"}),
    "a relative link": ("./way", {"way": "{up}/dev/null"}),
    "a link to a link": ("./way", {"way": "first", "first": "/dev/null"}),
    "a link to its directory": ("./way/null", {"way": "/dev"}),
    "an absolute path of a link": ("{place}/way", {"way": "/dev/null"}),
    "a relative path": ("{up}/dev/null", {}),
}


@pytest.mark.parametrize("key", ["device", "terminal"])
@pytest.mark.parametrize("way", LED)
def test_a_device_that_is_opened_is_named(
    way: str, key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    up = "/".join([".."] * (str(place).count("/")))
    path, links = LED[way]
    for name, target in links.items():
        (place / name).symlink_to(target.format(up=up))
    (place / "box.yaml").write_text(box(key, path.format(up=up, place=place)))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")
    assert (done.returncode, done.calls) == (125, []), done.stderr
    assert "/dev/null, which no review of this plan shows as a device" in done.stderr or (
        "/dev/null is a host device, which no review of this plan shows as a device" in done.stderr
    )


@pytest.mark.parametrize("key", ["device", "terminal"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_elsewhere_than_in_dev_is_refused(
    key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    os.mknod(place / "mine", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (place / "box.yaml").write_text(box(key, "./mine"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")
    assert (done.returncode, done.calls) == (125, []), done.stderr
    assert f"{place}/mine is a host device, which no review of this plan shows" in done.stderr


@pytest.mark.parametrize("key", ["device", "terminal"])
def test_a_device_by_its_own_name_is_opened(
    key: str, place: Path, launch: Callable[..., Launch]
) -> None:
    (place / "box.yaml").write_text(box(key, "/dev/null"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7, done.stderr


def test_devices_that_the_plan_names_are_given(place: Path, launch: Callable[..., Launch]) -> None:
    (place / "box.yaml").write_text(box("share", "/sys"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    assert launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7").returncode == 7
