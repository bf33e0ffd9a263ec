"""A Pod of krunc emit kubernetes, started by podman kube play."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from krunc_compiler.emit.kubernetes import made
from krunc_compiler.emit.needs import needs_of
from krunc_compiler.emit.pods import Settings
from krunc_compiler.plan.reading import read_plan
from places import ROOT
from processes import PATIENCE

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
