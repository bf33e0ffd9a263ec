"""What the host must have: each condition is made to fail for real, and told in the box's words."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_schema import load
from processes import started, wait_until
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

START = LAUNCHER[2]
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


def planned(
    directory: Path, form: str = "raw", read_only: bool = False, memory: str = "1GiB"
) -> Path:
    """A plan with one disk."""
    runnable(directory / "rootfs")
    if not (directory / "disk").exists():
        (directory / "disk").write_bytes(bytes(4096))
    box = BOX.replace("FORMAT", form).replace("MEMORY", memory)
    (directory / "box.yaml").write_text(box.replace("READ_ONLY", str(read_only).lower()))
    assert main(["compile", str(directory / "box.yaml")]) == 0
    return directory / "box.plan.json"


def image(directory: Path, *words: str, size: str = "1M") -> None:
    """A disk image as qemu-img makes it."""
    command: list[str | Path] = ["qemu-img", *words, directory / "disk", size]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)


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


# tests/run installs it where the tests run; the emulated host of the other architecture has none.
@pytest.mark.skipif(
    shutil.which("qemu-storage-daemon") is None, reason="this host has no qemu-storage-daemon"
)
def test_a_disk_of_qemu(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    plan = planned(tmp_path)
    with started(
        ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=a,filename={tmp_path}/disk",
         "--nbd-server", f"addr.type=unix,addr.path={tmp_path}/nbd",
         "--export", "type=nbd,id=e,node-name=a,writable=on", "--pidfile", f"{tmp_path}/pid"],
    ) as qemu:  # fmt: skip
        wait_until((tmp_path / "pid").exists, qemu)
        done = launch(plan)
    assert done.returncode == 125
    assert "is in use by QEMU" in done.stderr


def test_more_memory_than_the_host_has(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    done = launch(planned(tmp_path, memory="4000GiB"))
    assert done.returncode == 125
    assert "the VM wants 4096000 MiB of memory; this host has" in done.stderr
    assert "(machine)" in done.stderr


def test_a_disk_that_is_a_fifo(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    """Opening it would wait for a writer."""
    plan = planned(tmp_path)
    (tmp_path / "disk").unlink()
    os.mkfifo(tmp_path / "disk")
    done = launch(plan)
    assert (done.returncode, done.calls) == (125, [])
    assert "disk is not a file or block device (disks[0].path)" in done.stderr


def test_more_vcpus_than_libkrun_numbers(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    """Seen with both libraries: -22, VcpuCountOverflow."""
    machine = os.uname().machine
    rows = load("krun")["architectures"].values()
    (most,) = (row["vcpus"] for row in rows if machine in row["machines"])
    if most < 255:  # what a plan can say
        done = launch(planned(tmp_path, memory=f"1GiB, cpus: {most + 1}"))
        said = f"wants {most + 1} vCPUs; libkrun numbers {most} at most on {machine} (machine)"
        assert done.returncode == 125
        assert said in done.stderr
    done = launch(planned(tmp_path, memory=f"1GiB, cpus: {most}"), KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7, done.stderr


KERNELS = [
    ("raw", "4GiB", 8192, ""),
    ("raw", "3329MiB", 8192, ""),
    (
        "raw",
        "3328MiB",
        8192,
        "no room for a raw kernel in 3328 MiB of memory: give the VM more than",
    ),
    ("raw", "4GiB", 5000, "vmlinux: libkrun takes a raw kernel in whole pages of 4096 bytes"),
    ("elf", "1GiB", 5000, ""),
    ("pe_gz", "1GiB", 5000, "a kernel of the format pe_gz boots only on arm64"),
]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="what is told is x86-64's")
@pytest.mark.parametrize(("form", "memory", "size", "sentence"), KERNELS)
def test_a_kernel_of_the_box(
    form: str,
    memory: str,
    size: int,
    sentence: str,
    tmp_path: Path,
    launch: Callable[..., Launch],
) -> None:
    """Seen with both libraries: MemoryRegionOverlap, SetUserMemoryRegion."""
    planned(tmp_path, memory=memory)
    (tmp_path / "vmlinux").write_bytes(bytes(size))
    box = tmp_path / "box.yaml"
    kernel = f"boot: {{kernel: {{path: ./vmlinux, format: {form}}}}}\n"
    box.write_text(box.read_text() + kernel)
    assert main(["compile", str(box)]) == 0
    done = launch(tmp_path / "box.plan.json", KRUN_RECORDER_EXIT="7")
    if not sentence:
        assert (done.returncode, done.stderr) == (7, "")
        return
    assert (done.returncode, done.calls) == (125, [])
    assert sentence in done.stderr


def test_few_open_files(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    """With 64 libkrun panics, seen with 2.0-dev."""
    plan = planned(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The hard limit of a child: it could not be raised here again.
    start = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (64, 64)); {START}"
    command = [sys.executable, "-c", start, "doctor", str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the hard open file limit is 64; libkrun needs 256, and one more" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


# Options of a program's socket, with which it listens and with which it accepts.
OPTIONS = {
    "none": (),
    "as most servers": (socket.SO_REUSEADDR,),
    "as libkrun": (socket.SO_REUSEPORT,),
    "both": (socket.SO_REUSEADDR, socket.SO_REUSEPORT),
}
ADDRESSES = ["127.0.0.1", "0.0.0.0", "::1", "::"]


def listening(options: tuple[int, ...], address: str) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    for option in options:
        server.setsockopt(socket.SOL_SOCKET, option, 1)
    server.bind((address, 0))
    server.listen()
    return server


def publishing(directory: Path, port: int) -> Path:
    """The plan of a box that publishes PORT."""
    planned(directory)
    box = directory / "box.yaml"
    ports = f'{{mode: tsi, ports: ["{port}:80"]}}'
    box.write_text(box.read_text().replace("{mode: tsi}", ports))
    assert main(["compile", str(box)]) == 0
    return directory / "box.plan.json"


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_ports_that_are_taken(
    options: str, address: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """libkrun itself would share the port with a socket as its own."""
    with listening(OPTIONS[options], address) as server:
        port = server.getsockname()[1]
        plan = publishing(tmp_path, port)
        done = launch(plan, KRUN_RECORDER_EXIT="7")
        if address == "::1":  # what listens on IPv6 alone is in nobody's way
            assert (done.returncode, done.stderr) == (7, "")
            return
        assert (done.returncode, done.calls) == (125, [])
        assert f"TCP port {port} of this host is in use; stop what listens there" in done.stderr
        assert "(network.ports)" in done.stderr
    assert launch(plan, KRUN_RECORDER_EXIT="7").returncode == 7


@pytest.mark.parametrize("state", ["over", "open"])
@pytest.mark.parametrize("options", OPTIONS)
def test_ports_that_connections_hold(
    options: str, state: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """What is left of a program that listened is in libkrun's way where libkrun's bind fails."""
    with listening(OPTIONS[options], "127.0.0.1") as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
    with client, accepted:
        if state == "over":
            accepted.close()  # first: what waits a minute is this end
            assert client.recv(1) == b""
            client.close()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                probe.bind(("0.0.0.0", port))
                meets = False
            except OSError:
                meets = True
        done = launch(publishing(tmp_path, port), KRUN_RECORDER_EXIT="7")
    if meets:
        assert (done.returncode, done.calls) == (125, [])
        assert f"TCP port {port} of this host is held by connections (ss -tanp)" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (7, "")
    assert meets == (socket.SO_REUSEPORT not in OPTIONS[options])


WORKDIRS = {
    "/": True,
    "/there": True,
    "/link": True,
    "/proc/self": True,
    "/nowhere": False,
    "/a-file": False,
    "/dangling": False,
}


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("workdir", WORKDIRS)
def test_a_workdir_that_is_not_there(
    workdir: str, target: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """libkrun 1.16 starts the program in / then, without a word."""
    planned(tmp_path)
    (tmp_path / "rootfs/there").mkdir()
    (tmp_path / "rootfs/link").symlink_to("/there")
    (tmp_path / "rootfs/dangling").symlink_to(tmp_path)
    (tmp_path / "rootfs/a-file").write_text("")
    box = tmp_path / "box.yaml"
    box.write_text(box.read_text().replace("/bin/a}", f"/bin/a, workdir: {workdir}}}"))
    assert main(["compile", str(box), "--target", target]) == 0
    done = launch(tmp_path / "box.plan.json", KRUN_RECORDER_EXIT="7")
    if WORKDIRS[workdir]:
        assert (done.returncode, done.stderr) == (7, "")
        return
    assert (done.returncode, done.calls) == (125, [])
    assert (
        f"{workdir} is not a directory in the guest's root {tmp_path}/rootfs; make it"
        in done.stderr
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_file_systems_that_take_nothing(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """A runtime directory on a read-only one, a libkrun on one without execution."""
    plan = planned(tmp_path)
    box = tmp_path / "box.yaml"
    box.write_text(box.read_text() + "console: {output: runtime:console.log}\n")
    assert main(["compile", str(box)]) == 0
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = """
        mount -t tmpfs -o $3 tmpfs $1 && cp $2 $1/libkrun.so && mount -o remount,ro $1
        shift 3; exec "$@"
    """

    def launched(option: str, library: Path, runtime: Path) -> str:
        words = [str(mounted), str(build("v1")), option, *LAUNCHER, "--libkrun", str(library)]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *words, "--runtime-dir", str(runtime), plan],
            env={**os.environ, "LD_PRELOAD": str(fake_kvm)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 125
        return done.stderr

    said = launched("exec", build("v1"), mounted / "krunc/box")
    assert f"the runtime directory {mounted}/krunc/box cannot be made in {mounted} (uid 0)" in said
    assert "is read-only; choose another with --runtime-dir" in said
    said = launched("noexec", mounted / "libkrun.so", tmp_path / "run")
    assert "is its file system mounted noexec? put it where programs may be run" in said


DEVICES = [
    (0o600, 65534, "its mode is 600 and its group nogroup; as root: chgrp kvm "),
    (0o660, 65534, "join its group with `usermod -aG nogroup USER` and log in again"),
    (0o660, 0, "its mode is 660 and its group root; as root: chgrp kvm "),
    (0o660, 54321, "join its group with `usermod -aG 54321 USER` and log in again"),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("mode", "group", "sentence"), DEVICES)
def test_a_hypervisor_that_is_closed(mode: int, group: int, sentence: str) -> None:
    """Groups help only where the device is open to its group, and root's is nobody's to join."""
    with tempfile.NamedTemporaryFile() as device:
        os.chown(device.name, 0, group)
        os.chmod(device.name, mode)
        program = (
            "import os; from krunc_launcher.host import kvm; "
            f"kvm._DEVICE = {device.name!r}; print(*kvm.closed_to(1234, {group})); "
            "import errno, grp, fcntl; os.setgroups([]); os.setgid(1234); os.setuid(1234); "
            "print(*kvm.quick())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        becoming, now = done.stdout.splitlines()
        assert f"you (uid 1234) cannot open {device.name}: {sentence}" in now
        # With its group the VM's process may open it, where its group may.
        assert becoming == "" or mode == 0o600
        if mode == 0o600:
            assert becoming.startswith("uid 1234, which the VM's process becomes, cannot open")


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
        "hypervisor", "machine", "open files", "confinement", "runtime directory", "passt", "libkrun",
        f"plan {plan}",
    ]  # fmt: skip
    assert all(set(check) == {"name", "state", "text", "fix"} for check in value["checks"])

    (tmp_path / "disk").write_bytes(b"QFI\xfb".ljust(512, b"\0"))
    done = doctor("--libkrun", library, plan, kvm=str(fake_kvm), FAKE_KVM="denied")
    assert done.returncode == 1
    told = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("FAILED hypervisor: you (uid") for line in told), done.stdout
    assert any(line.startswith(f"FAILED plan {plan}: ") for line in told), done.stdout
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
