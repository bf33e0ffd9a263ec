"""Pods of krunc emit kubernetes, started by podman kube play."""

from __future__ import annotations

import importlib.metadata
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
from kvmhost import debian
from places import ROOT
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
BUILDING = 600
Podman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    """Runs podman with a store of its own, whose pods are gone behind the test."""
    conf = tmp_path / "containers.conf"
    conf.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
    short = tempfile.mkdtemp(prefix="krunc-")  # podman takes 50 characters
    words = ["podman", "--root", f"{tmp_path}/root", "--runroot", f"{short}/run"]
    words += ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc"]
    # The other one copies an image for each container, and works on any file system.
    storage = ["--storage-driver", "overlay"]
    if subprocess.run([*words, *storage, "info"], capture_output=True, check=False).returncode:
        shutil.rmtree(f"{tmp_path}/root", ignore_errors=True)
        storage = ["--storage-driver", "vfs"]
    words += storage

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *more],
            env={**os.environ, "CONTAINERS_CONF": str(conf)},
            capture_output=True,
            text=True,
            timeout=BUILDING,
        )

    try:
        yield run
    finally:
        run("pod", "rm", "-fa")
        run("rmi", "-fa")
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


USER = 65532  # of the image
# What the image's Containerfile installs, and what its base has otherwise.
PACKAGES = ("apt", "python3", "python3-venv", "passt", "ca-certificates")
_LEFT_OUT_OF_BASE = (
    *("usr/share/doc", "usr/share/locale", "var/lib/apt/lists/*", "etc/apt/sources.list"),
)


def based(podman: Podman, image: str, archive: Path) -> None:
    """Make the IMAGE of a Debian on which apt and pip find all that they are asked for without a
    network: what is installed already, and wheels in a directory."""
    root = debian.root(PACKAGES, ())
    left = [f"--exclude=./{path}" for path in _LEFT_OUT_OF_BASE]
    subprocess.run(["tar", "-C", root, *left, "-cf", archive, "."], check=True)
    settings = ("ENV PIP_NO_INDEX=1", "ENV PIP_FIND_LINKS=/wheels")
    changes = [word for setting in settings for word in ("-c", setting)]
    imported = podman("import", *changes, str(archive), image)
    assert imported.returncode == 0, imported.stderr
    archive.unlink()


@needs_podman
@pytest.mark.boot
@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or not shutil.which("mmdebstrap"),
    reason="the image's Python is Debian 12's, for which pip makes wheels here; mmdebstrap",
)
def test_the_image_of_the_containerfile_launches_a_plan(
    podman: Podman, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """The Containerfile as it stands, built without a network, with a recording libkrun in place of
    its own where a plan is launched: by hand, and as a Pod."""
    wheels = tmp_path / "wheels"
    asked = [f"{ROOT}[libkrun]", "hatchling", "cffi"]  # and what krunc's wheel is built with
    words = [sys.executable, "-m", "pip", "wheel", "-q", "-w", str(wheels), *asked]
    subprocess.run(words, check=True, capture_output=True)
    for wheel in wheels.glob("krunc-*"):
        wheel.unlink()  # the image builds its own
    base, image = "localhost/debian:base", "localhost/krunc:latest"
    based(podman, base, tmp_path / "base.tar")
    done = podman(
        *("build", "--network", "none", "--layers=false", "--from", base),
        *("--volume", f"{wheels}:/wheels:ro", "-t", image),
        *("-f", str(ROOT / "examples/kubernetes/Containerfile"), str(ROOT)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = ("run", "--rm", "--network", "none")
    version = f"krunc {importlib.metadata.version('krunc')}\n"
    assert podman(*run, image, "--version").stdout == version
    assert podman(*run, "--entrypoint", "krunc", image, "--version").stdout == version
    doctor = podman(*run, image, "doctor").stdout
    assert "\nok       libkrun: /opt/krunc/lib/python3.11/site-packages/smol/libkrun.so" in doctor
    assert "\nok       passt: /usr/bin/passt" in doctor
    (config,) = json.loads(podman("image", "inspect", image).stdout)
    assert config["Config"]["User"] == f"{USER}:{USER}"

    recording = "localhost/krunc:recording"
    library = build("v2_flat")
    for one in (library, fake_kvm):
        shutil.copy(one, tmp_path / "wheels")
    (tmp_path / "wheels/Containerfile").write_text(
        f"FROM {image}\nCOPY {library.name} {fake_kvm.name} /lib/\n"
        f"ENV LD_PRELOAD=/lib/{fake_kvm.name} KRUNC_LIBKRUN=/lib/{library.name}\n"
        "ENV FAKE_KVM=works KRUN_RECORDER_EXIT=7\n"
    )
    done = podman("build", "--network", "none", "-t", recording, str(tmp_path / "wheels"))
    assert done.returncode == 0, done.stdout + done.stderr
    place = tmp_path / "place"
    runnable(place / "rootfs")
    box = (ROOT / "boxes/hello.yaml").read_text()
    (place / "hello.yaml").write_text(box)
    compiled = ["compile", "-q", "--target", "2", str(place / "hello.yaml")]
    subprocess.run([sys.executable, "-m", "krunc", *compiled], check=True)
    plan = place / "hello.plan.json"
    for path in (place, *place.rglob("*")):
        os.lchown(path, USER, USER)
    mounted = ("--volume", f"{place}:{place}")
    assert podman(*run, *mounted, recording, str(plan)).returncode == 7
    refused = podman(*run, *mounted, recording, "--require-digest", f"sha256:{0:064}", str(plan))
    assert (refused.returncode, "which is not approved" in refused.stderr) == (125, True)

    needs = needs_of(read_plan("hello", plan.read_text()), str(place))
    needs = needs._replace(text=plan.read_text())
    engine = made(Settings(pods=True, image=recording))
    (piece,) = engine.whole([(needs, engine.part(needs))])
    (tmp_path / "pod.yaml").write_text(piece.text)
    played = podman("kube", "play", "--network", "host", str(tmp_path / "pod.yaml"))
    assert played.returncode == 0, played.stderr
    assert podman("wait", "krunc-hello-krunc").stdout == "7\n", podman("logs", "krunc-hello-krunc")
