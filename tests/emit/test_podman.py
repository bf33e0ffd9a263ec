"""Pods of krunc emit kubernetes, started by podman kube play."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import _cffi_backend
import pytest
from krunc_compiler.emit.kubernetes import made
from krunc_compiler.emit.needs import needs_of
from krunc_compiler.emit.pods import Settings
from krunc_compiler.plan.reading import read_plan
from places import ROOT
from processes import PATIENCE
from roots import runnable

needs_podman = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("podman", "runc", "catatonit", "busybox"))),
    reason="podman, runc, catatonit, busybox and root are needed",
)
# Stands for the launcher: what it is given, as whom, and what it can write.
LAUNCHER = """\
#!/bin/busybox sh
for word; do echo "<$word>"; done
/bin/busybox id -u
/bin/busybox cat /etc/krunc/plans/0.digest /etc/krunc/plans/0.plan.json
/bin/busybox touch /run/krunc/a && echo writable
/bin/busybox touch /a || echo read-only
exit 7
"""
Podman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    """Runs podman with a store of its own, whose pods are gone behind the test."""
    conf = tmp_path / "containers.conf"
    conf.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
    short = tempfile.mkdtemp(prefix="krunc-")  # podman takes 50 characters
    words = ["podman", "--root", f"{tmp_path}/root", "--runroot", f"{short}/run"]
    words += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    words += ["--runtime", "runc"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *more],
            env={**os.environ, "CONTAINERS_CONF": str(conf)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    try:
        yield run
    finally:
        run("pod", "rm", "-fa")
        shutil.rmtree(short)


@needs_podman
def test_a_pod_gives_the_launcher_what_was_written(podman: Podman, tmp_path: Path) -> None:
    program = tmp_path / "krunc-launch"
    program.write_text(LAUNCHER)
    program.chmod(0o755)
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(program, "bin/krunc-launch")
        tar.add("/bin/busybox", "bin/busybox")
    image = "localhost/krunc:latest"
    imported = podman("import", "-c", "ENV PATH=/bin", str(archive), image)
    assert imported.returncode == 0, imported.stderr
    base = tmp_path / "a 'b\" c"
    (base / "rootfs").mkdir(parents=True)
    text = (ROOT / "boxes/hello.plan.json").read_text()
    needs = needs_of(read_plan("hello", text), str(base))._replace(text=text)
    engine = made(Settings(pods=True))
    (piece,) = engine.whole([(needs, engine.part(needs))])
    (tmp_path / "pod.yaml").write_text(piece.text)
    played = podman("kube", "play", "--network", "host", str(tmp_path / "pod.yaml"))
    assert played.returncode == 0, played.stderr
    assert podman("wait", "krunc-hello-krunc").stdout == "7\n"
    out = podman("logs", "krunc-hello-krunc").stdout
    assert f"<{needs.base}>" in out
    assert f"{needs.digest}\n{text}" in out
    assert "\nwritable\n" in out
    assert "\nread-only\n" in out


PYTHON = Path("/usr/bin/python3")
# What of the standard library no launch imports, and is large.
_LEFT_OUT = ("test", "idlelib", "ensurepip", "__pycache__", "dist-packages", "site-packages")


def installed(archive: Path, libraries: list[Path]) -> None:
    """An image with this host's Python and libc, krunc's launcher as its Containerfile installs it,
    and LIBRARIES in /lib."""
    python = PYTHON.resolve()
    linked = subprocess.run(["ldd", python], capture_output=True, text=True, check=True).stdout
    shared = {word for word in linked.split() if word.startswith("/")}
    extra = ("libdl.so.2", "libpthread.so.0")
    shared |= {
        f"{path.rpartition('/')[0]}/{name}"
        for path in shared
        for name in extra
        if "libc.so" in path
    }
    packages = "usr/lib/python3/dist-packages"

    def kept(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = os.path.basename(info.name)
        return None if name in _LEFT_OUT or name.startswith("config-") else info

    with tarfile.open(archive, "w", dereference=True) as tar:
        tar.add(python, "usr/bin/python3")
        tar.add(f"/usr/lib/{python.name}", filter=kept)
        for path in sorted(shared):
            tar.add(path)
        for library in libraries:
            tar.add(library, f"lib/{library.name}")
        tar.add(ROOT / "launcher/krunc_launcher", f"{packages}/krunc_launcher", filter=kept)
        backend = Path(_cffi_backend.__file__)
        tar.add(backend, f"{packages}/{backend.name}")
        script = archive.with_name("krunc-launch")
        text = (ROOT / "launcher/scripts/krunc-launch").read_text()
        script.write_text("#!/usr/bin/python3\n" + text.partition("\n")[2])
        script.chmod(0o755)
        tar.add(script, "usr/bin/krunc-launch")


@needs_podman
@pytest.mark.skipif(
    not PYTHON.exists() or PYTHON.resolve().name != f"python3.{sys.version_info[1]}",
    reason="the image gets the system's Python with this one's _cffi_backend",
)
def test_a_plan_in_a_mounted_volume_is_launched_by_its_digest(
    podman: Podman, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """The launcher itself in a pod, against the recording libkrun: it takes the plan of the volume,
    and no other in its place."""
    library = build("v1")
    installed(tmp_path / "image.tar", [library, fake_kvm])
    settings = {
        "PATH": "/usr/bin",
        "LD_PRELOAD": f"/lib/{fake_kvm.name}",
        "KRUNC_LIBKRUN": f"/lib/{library.name}",
        "KRUN_RECORDER_EXIT": "7",
    }
    changes = [word for name, text in settings.items() for word in ("-c", f"ENV {name}={text}")]
    image = "localhost/krunc:latest"
    imported = podman("import", *changes, str(tmp_path / "image.tar"), image)
    assert imported.returncode == 0, imported.stderr
    runnable(tmp_path / "rootfs")
    text = (ROOT / "boxes/hello.plan.json").read_text()
    needs = needs_of(read_plan("hello", text), str(tmp_path))._replace(text=text)
    engine = made(Settings(pods=True, plans_volume="plans"))
    (piece,) = engine.whole([(needs, engine.part(needs))])
    (tmp_path / "pod.yaml").write_text(piece.text)
    assert podman("volume", "create", "plans").returncode == 0
    volume = json.loads(podman("volume", "inspect", "plans").stdout)[0]["Mountpoint"]
    changed = text.replace('"num_vcpus": 1', '"num_vcpus": 2')
    assert changed != text
    for plan, status in ((text, 7), (changed, 125), (text, 7)):
        Path(volume, "hello.plan.json").write_text(plan)
        played = podman("kube", "play", "--network", "host", str(tmp_path / "pod.yaml"))
        assert played.returncode == 0, played.stderr
        ended = podman("wait", "krunc-hello-krunc").stdout
        logs = podman("logs", "krunc-hello-krunc")
        assert ended == f"{status}\n", logs.stdout + logs.stderr
        assert ("which is not approved" in logs.stderr) == (status == 125)
        (container,) = json.loads(podman("inspect", "krunc-hello-krunc").stdout)
        (mount,) = [one for one in container["Mounts"] if one["Destination"] == "/etc/krunc/plans"]
        assert (mount["Name"], mount["RW"]) == ("plans", False)
        assert podman("pod", "rm", "-fa").returncode == 0
