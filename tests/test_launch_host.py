"""What the host must have: each condition is made to fail for real, and told in the box's words."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import LAUNCHER, Launch

BOX = """\
krunc: 1
name: host
machine: {memory: MEMORY}
rootfs: {path: ./rootfs}
disks: [{id: a, path: ./disk, format: FORMAT, read_only: READ_ONLY}]
network: {mode: tsi}
entrypoint: {executable: /bin/a}
"""
IMAGE = [
    (["create", "-f", "qcow2"], "qcow2"),
    (["create", "-f", "vmdk"], "vmdk"),
    (["create", "-f", "vhdx"], "vhdx"),
    (["create", "-f", "vdi"], "vdi"),
    (["create", "-f", "raw"], "raw"),
]


def planned(folder: Path, form: str = "raw", read_only: bool = False, memory: str = "1GiB") -> Path:
    """A plan with one disk."""
    (folder / "rootfs").mkdir(exist_ok=True)
    if not (folder / "disk").exists():
        (folder / "disk").write_bytes(bytes(4096))
    box = BOX.replace("FORMAT", form).replace("MEMORY", memory)
    (folder / "box.yaml").write_text(box.replace("READ_ONLY", str(read_only).lower()))
    assert main(["compile", str(folder / "box.yaml")]) == 0
    return folder / "box.plan.json"


def image(folder: Path, *words: str, size: str = "1M") -> None:
    """A disk image as qemu-img makes it."""
    subprocess.run(["qemu-img", *words, folder / "disk", size], check=True, capture_output=True)


@pytest.mark.parametrize(("words", "holds"), IMAGE)
@pytest.mark.parametrize("declared", ["raw", "qcow2", "vmdk"])
def test_an_image_is_what_it_is_declared_to_be(
    declared: str, words: list[str], holds: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    image(tmp_path, *words)
    done = launch(planned(tmp_path, declared), KRUN_RECORDER_EXIT="7")
    if declared == holds:
        assert (done.returncode, done.stderr) == (7, "")
        return
    assert done.returncode == 125
    assert done.calls == []
    what = "holds none" if holds == "raw" else f"holds a {holds} image"
    assert f"is declared {declared} and {what}" in done.stderr
    assert "(disks[0])" in done.stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (
            ["create", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw"],
            "the backing file /etc/passwd",
        ),
        (["create", "-f", "qcow2", "-o", "data_file=data"], "an external data file"),
        (["create", "-f", "vmdk", "-o", "subformat=monolithicFlat"], "further files"),
    ],
)
def test_an_image_that_names_other_files(
    words: list[str], what: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    image(tmp_path, *words)
    done = launch(planned(tmp_path, words[2]))
    assert done.returncode == 125
    assert f"names {what}, which the plan does not" in done.stderr
    assert done.calls == []


@pytest.mark.parametrize(
    ("mine", "theirs", "free"),
    [(False, fcntl.LOCK_EX, False), (False, fcntl.LOCK_SH, False),
     (True, fcntl.LOCK_EX, False), (True, fcntl.LOCK_SH, True)],
)  # fmt: skip
def test_a_disk_of_another_vm(
    mine: bool, theirs: int, free: bool, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    plan = planned(tmp_path, read_only=mine)
    with (tmp_path / "disk").open("rb") as disk:
        fcntl.flock(disk, theirs)
        done = launch(plan, KRUN_RECORDER_EXIT="7")
    if free:
        assert done.returncode == 7
        return
    assert done.returncode == 125
    assert f"is in use: another process (process {os.getpid()})" in done.stderr
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7


def test_a_disk_of_qemu(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    plan = planned(tmp_path)
    qemu = subprocess.Popen(
        ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=a,filename={tmp_path}/disk",
         "--nbd-server", f"addr.type=unix,addr.path={tmp_path}/nbd",
         "--export", "type=nbd,id=e,node-name=a,writable=on", "--pidfile", f"{tmp_path}/pid"],
    )  # fmt: skip
    try:
        while not (tmp_path / "pid").exists():
            assert qemu.poll() is None
        done = launch(plan)
    finally:
        qemu.terminate()
        qemu.wait()
    assert done.returncode == 125
    assert "is in use by QEMU" in done.stderr


def test_more_memory_than_the_host_has(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    done = launch(planned(tmp_path, memory="4000GiB"))
    assert done.returncode == 125
    assert "the VM wants 4096000 MiB of memory; this host has" in done.stderr
    assert "(machine)" in done.stderr


def doctor(*words: str | Path, kvm: str, **env: str) -> subprocess.CompletedProcess[str]:
    """krunc doctor on a host whose KVM is as FAKE_KVM says."""
    start = [*LAUNCHER[:2], "import sys; from krunc import main; sys.exit(main())"]
    return subprocess.run(
        [*start, "doctor", *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "LD_PRELOAD": kvm, **env},
    )  # fmt: skip


def test_doctor(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    plan = planned(tmp_path)
    library = build("v1")
    done = doctor("--json", "--libkrun", library, plan, kvm=str(fake_kvm))
    value = json.loads(done.stdout)
    assert (done.returncode, value["krunc_doctor"], value["ok"]) == (0, 1, True)
    names = [check["name"] for check in value["checks"]]
    assert names == [
        "hypervisor", "machine", "open files", "confinement", "runtime folder", "libkrun",
        f"plan {plan}",
    ]  # fmt: skip
    assert all(set(check) == {"name", "state", "text", "fix"} for check in value["checks"])

    (tmp_path / "disk").write_bytes(b"QFI\xfb".ljust(512, b"\0"))
    done = doctor("--libkrun", library, plan, kvm=str(fake_kvm), FAKE_KVM="denied")
    assert done.returncode == 1
    assert "FAILED   hypervisor: you (uid" in done.stdout
    assert f"FAILED   plan {plan}: " in done.stdout
    assert "is declared raw and holds a qcow2 image" in done.stdout
    assert done.stderr == ""


def test_doctor_without_libkrun(tmp_path: Path, fake_kvm: Path) -> None:
    missing = tmp_path / "libkrun.so"
    done = doctor("--libkrun", missing, kvm=str(fake_kvm))
    assert done.returncode == 1
    assert "there is no such file; --libkrun names a libkrun.so" in done.stdout
    (tmp_path / "libkrun.so").write_text("no library")
    done = doctor("--libkrun", missing, kvm=str(fake_kvm))
    assert done.returncode == 1
    assert "cannot be loaded" in done.stdout
    for words in (["--libkrun"], ["--jsn"], ["--libkrunfw=x"]):
        assert doctor(*words, kvm=str(fake_kvm)).returncode == 2
    assert "krunc doctor" in doctor("--help", kvm=str(fake_kvm)).stdout


def test_doctor_needs_no_compiler() -> None:
    """krunc-launch doctor, for hosts that compile nothing."""
    code = (
        "import sys; sys.argv[1:] = ['doctor', '--json']; "
        "from krunc_launcher.__main__ import main; main(); "
        "assert not any(name.startswith('krunc_compiler') for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
