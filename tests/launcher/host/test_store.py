"""The images' store at launch: the root is there, is what its name says, and nobody else can change
it; what was found out is remembered."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from locks import ARCH, PLATFORM, ROOT, image, launchable, stored, text
from recorder.fixtures import LAUNCHER, Launch

BOX = f"""\
krunc: 1
name: one
arch: {ARCH}
rootfs: {{image: "app:1.4"}}
network: {{mode: none}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The plan of an image whose root is in the store beside it."""
    (tmp_path / "box.yaml").write_text(BOX)
    locked = launchable(image(platform=PLATFORM, entrypoint=("/bin/a",)))
    (tmp_path / "box.lock.json").write_text(text(locked))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    stored(tmp_path / "store")
    return tmp_path / "box.plan.json"


def launched(plan: Path, launch: Callable[..., Launch], *words: str) -> Launch:
    return launch(plan, "--store", str(plan.parent / "store"), *words, KRUN_RECORDER_EXIT="7")


def root(plan: Path) -> Path:
    (found,) = (plan.parent / "store").glob("*.erofs")
    return found


def record(plan: Path) -> Path:
    return root(plan).with_suffix(".checked")


def numbers(path: Path) -> str:
    """What tells a file from itself after a change, as krunc pull writes it."""
    status = path.stat()
    found = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, found)) + "\n"


def test_a_root_is_compared_once(plan: Path, launch: Callable[..., Launch]) -> None:
    assert launched(plan, launch).returncode == 7
    assert record(plan).read_text() == numbers(root(plan))
    assert stat.S_IMODE(record(plan).stat().st_mode) == 0o444
    before = record(plan).stat()
    assert launched(plan, launch).returncode == 7
    # It was believed, and so not written again.
    assert record(plan).stat() == before
    assert sorted(path.name for path in root(plan).parent.iterdir()) == sorted(
        (root(plan).name, record(plan).name)
    )


def test_what_is_remembered_is_believed(plan: Path, launch: Callable[..., Launch]) -> None:
    """Else this would not be launched: its owner says that it was compared."""
    root(plan).chmod(0o644)
    root(plan).write_bytes(ROOT[::-1])
    root(plan).chmod(0o444)
    record(plan).write_text(numbers(root(plan)))
    record(plan).chmod(0o444)
    assert launched(plan, launch).returncode == 7


def forged(plan: Path) -> None:
    """Another content, with a record of it."""
    root(plan).chmod(0o644)
    root(plan).write_bytes(ROOT[::-1])
    root(plan).chmod(0o444)
    record(plan).write_text(numbers(root(plan)))


def written_by_others(plan: Path) -> None:
    forged(plan)
    record(plan).chmod(0o464)


def linked_record(plan: Path) -> None:
    forged(plan)
    record(plan).rename(plan.parent / "record")
    record(plan).symlink_to(plan.parent / "record")


def odd_record(plan: Path) -> None:
    forged(plan)
    record(plan).unlink()
    os.mkfifo(record(plan))


def old_record(plan: Path) -> None:
    record(plan).write_text(numbers(root(plan)))
    root(plan).chmod(0o644)
    root(plan).write_bytes(ROOT[::-1])
    root(plan).chmod(0o444)


def no_text(plan: Path) -> None:
    forged(plan)
    record(plan).write_bytes(b"\xff\0" * 300)


@pytest.mark.parametrize(
    "spoil", [written_by_others, linked_record, odd_record, old_record, no_text]
)
def test_what_another_may_have_written_is_not_believed(
    spoil: Callable[[Path], None], plan: Path, launch: Callable[..., Launch]
) -> None:
    spoil(plan)
    done = launched(plan, launch)
    assert done.returncode == 125
    assert "and not the one in its name" in done.stderr
    assert not done.calls


def missing(plan: Path) -> str:
    root(plan).unlink()
    return "is not in the store"


def no_store(plan: Path) -> str:
    root(plan).unlink()
    (plan.parent / "store").rmdir()
    return "is not in the store"


def another(plan: Path) -> str:
    root(plan).chmod(0o644)
    root(plan).write_bytes(ROOT[::-1])
    root(plan).chmod(0o444)
    return "and not the one in its name"


def shorter(plan: Path) -> str:
    root(plan).chmod(0o644)
    root(plan).write_bytes(ROOT[:-1])
    root(plan).chmod(0o444)
    return f"has {len(ROOT) - 1} bytes, and the plan says {len(ROOT)}"


def link(plan: Path) -> str:
    path = root(plan)
    path.rename(plan.parent / "root")
    path.symlink_to(plan.parent / "root")
    return "a root of the store is a regular file"


def pipe(plan: Path) -> str:
    path = root(plan)
    path.unlink()
    os.mkfifo(path)
    return "is not a regular file"


def directory(plan: Path) -> str:
    path = root(plan)
    path.unlink()
    path.mkdir()
    return "is not a regular file"


def served(plan: Path) -> str:
    path = root(plan)
    path.unlink()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    os.rename("s", path)
    return "a root of the store is a regular file"


def group_writes(plan: Path) -> str:
    root(plan).chmod(0o464)
    return "can be changed by another user: its mode is 0464"


def others_write(plan: Path) -> str:
    root(plan).chmod(0o446)
    return "can be changed by another user: its mode is 0446"


def open_store(plan: Path) -> str:
    (plan.parent / "store").chmod(0o777)
    return "lies in a directory that another user can change: its mode is 0777"


def sticky_store(plan: Path) -> str:
    (plan.parent / "store").chmod(0o1777)
    return "lies in a directory that another user can change: its mode is 1777"


def of_another(plan: Path) -> str:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(root(plan), 65534, 65534)
    return "can be changed by another user: it belongs to uid 65534"


def store_of_another(plan: Path) -> str:
    if os.geteuid():
        pytest.skip("only root can give a directory away")
    os.chown(plan.parent / "store", 65534, 65534)
    return "lies in a directory that another user can change: it belongs to uid 65534"


def other_machine(plan: Path) -> str:
    other = {"linux/amd64": "linux/arm64", "linux/arm64": "linux/amd64"}[PLATFORM]
    plan.write_text(plan.read_text().replace(PLATFORM, other))
    return f"the image app:1.4 is for {other}; this machine is {os.uname().machine}"


SPOILS = [
    missing, no_store, another, shorter, link, pipe, directory, served, group_writes, others_write,
    open_store, sticky_store, of_another, store_of_another, other_machine,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_root_that_cannot_be_trusted(
    spoil: Callable[[Path], str], plan: Path, launch: Callable[..., Launch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(plan.parent)
    said = spoil(plan)
    done = launched(plan, launch)
    assert done.returncode == 125
    assert said in done.stderr
    assert "(rootfs.image)" in done.stderr
    assert "Traceback" not in done.stderr
    # Before the first call of libkrun.
    assert not done.calls
    if spoil is not other_machine:
        assert "krunc pull --locked BOX" in done.stderr or "regular file (" in done.stderr


def test_many_launches_at_once(plan: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """Each remembers the same, and none sees half of it."""
    words = [
        *LAUNCHER, "--libkrun", str(build("v1")), "--store", str(plan.parent / "store"),
        "--runtime-dir",
    ]  # fmt: skip
    given = {"LD_PRELOAD": str(fake_kvm), "FAKE_KVM": "works", "KRUN_RECORDER_EXIT": "7"}
    vms = [
        subprocess.Popen(
            [*words, str(plan.parent / f"run{i}"), str(plan)],
            env={**os.environ, **given, "KRUN_RECORDER": str(plan.parent / f"calls{i}")},
        )
        for i in range(6)
    ]
    assert [vm.wait() for vm in vms] == [7] * 6
    assert record(plan).read_text() == numbers(root(plan))
    assert len(list(root(plan).parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "store"),
    [
        ({"KRUNC_STORE": "/k", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/k"),
        ({"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/krunc/store"),
        ({"KRUNC_STORE": "", "XDG_DATA_HOME": "x", "HOME": "/h"}, "/h/.local/share/krunc/store"),
        ({"HOME": "/h"}, "/h/.local/share/krunc/store"),
    ],
)
def test_where_the_store_is(given: dict[str, str], store: str, plan: Path) -> None:
    command = [*LAUNCHER, "--dry-run", str(plan)]
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**path, **given}
    )
    assert done.stdout.count(f'"{store}/{root(plan).name}"') == 2
    done = subprocess.run(
        [*command[:-1], "--store", "here", str(plan)], capture_output=True, text=True, check=True,
        env={**path, **given}, cwd=plan.parent,
    )  # fmt: skip
    assert done.stdout.count(f'"{plan.parent}/here/{root(plan).name}"') == 2
