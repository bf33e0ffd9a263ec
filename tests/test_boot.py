"""Real microVMs: krunc launch, with its Python, in an emulated host that has a KVM."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from kvmhost import job, machine

ROOT = Path(__file__).parent.parent
KRUNC = [sys.executable, "-m", "krunc"]
# A boot takes 10 to 20 s of emulation; this only ends what hangs.
TIMEOUT = 240

pytestmark = pytest.mark.boot

Boot = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One emulated host for all boots."""
    directory = tmp_path_factory.mktemp("kvmhost")
    machine.up(directory, machine.IDLE)
    yield directory
    machine.down(directory)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """A copy of the example boxes with all that they use."""
    for box in (ROOT / "boxes").glob("*.yaml"):
        (tmp_path / box.name).write_text(box.read_text())
    subprocess.run([ROOT / "boxes" / "make-inputs", tmp_path], check=True, capture_output=True)
    return tmp_path


# The guest of libkrun 1.16.0 can start before its console is there, seen in 1 of 10 boots while
# both processors were busy: then nothing that the program prints is left, whatever its status.
_NO_CONSOLE = b"unable to open an initial console"
_TRIES = 4


@pytest.fixture
def boot(emulated: Path, libkrun: tuple[Path, str], boxes: Path) -> Boot:
    """Compiles a box for the library in turn and launches it in the emulated host."""

    def run(box: str, prints: bool = False, **env: str) -> subprocess.CompletedProcess[bytes]:
        library, target = libkrun
        assert main(["compile", str(boxes / f"{box}.yaml"), "--target", target]) == 0
        plan = str(boxes / f"{box}.plan.json")
        options = ["--libkrun", str(library), "--runtime-dir", str(boxes / "run")]
        command = [*KRUNC, "launch", *options, plan]
        environment = {"PATH": "/usr/bin:/bin", **env}
        console = boxes / "run/console.log"
        for _ in range(_TRIES):
            done = job.run(emulated, command, timeout=TIMEOUT, env=environment)
            written = console.read_bytes() if console.exists() else b""
            if _NO_CONSOLE not in done.stderr + written and (done.stdout or not prints):
                break
        return done

    return run


def test_hello(boot: Boot) -> None:
    done = boot("hello", prints=True)
    assert (done.returncode, done.stdout) == (0, b"Hello from a microVM\n"), done


PROBE = """\
krunc: 1
name: probe
machine: {cpus: 2, memory: 256MiB}
rootfs: {path: ./rootfs}
shares: [{tag: out, path: ./out, read_only: false}]
network: {mode: tsi}
entrypoint:
  executable: /bin/sh
  args: [/sbin/probe, one, two words, $HOME]
  env: {GREETING: "a  b", TOKEN: {from_env: PROBE_TOKEN}}
  workdir: /tmp
limits: {nofile: "1000:2000", nproc: 300}
"""
PROGRAM = """\
mount -t virtiofs out /out || exit 10
{ echo "changed by the guest"; cat /out/given; } >/out/new && mv /out/new /out/given
echo "args $# [$1] [$2] [$3]"
echo "env [$GREETING] [$TOKEN]"
echo "in $(pwd) with $(/bin/busybox nproc) cpus"
echo "nofile $(ulimit -Sn) $(ulimit -Hn)"
echo "host variable [$LEAKED]"
echo "on stderr" >&2
exit 7
"""


def test_everything_reaches_the_guest(boot: Boot, boxes: Path) -> None:
    (boxes / "probe.yaml").write_text(PROBE)
    (boxes / "rootfs/sbin/probe").write_text(PROGRAM)
    (boxes / "out/given").write_text("given by the host\n")
    done = boot("probe", prints=True, PROBE_TOKEN="s3cret", LEAKED="yes")
    assert done.returncode == 7, done
    assert done.stdout.decode() == (
        "args 3 [one] [two words] [$HOME]\n"
        "env [a  b] [s3cret]\n"
        "in /tmp with 2 cpus\n"
        "nofile 1000 2000\n"
        "host variable []\n"
    )
    assert b"on stderr\n" in done.stderr
    assert (boxes / "out/given").read_text().endswith("changed by the guest\ngiven by the host\n")


def test_disk(boot: Boot, boxes: Path) -> None:
    done = boot("disk")
    assert done.returncode == 0, done
    console = (boxes / "run/console.log").read_text(errors="replace")
    assert "ext4" in console, console
    assert "data says these are the data" in console


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_build_cannot_change_its_source(boot: Boot, boxes: Path) -> None:
    """1.16.0 cannot forbid writing: the compiler refuses the box for it."""
    source = (boxes / "src/main.c").read_text()
    done = boot("build")
    assert done.returncode == 0, done
    assert (boxes / "src/main.c").read_text() == source
    assert (
        boxes / "out/result"
    ).read_text() == f"built {source.strip()} with 2 jobs, nofile 1024\n"


def test_a_program_that_is_missing(boot: Boot, boxes: Path) -> None:
    box = boxes / "hello.yaml"
    box.write_text(box.read_text().replace("/bin/busybox", "/bin/missing"))
    assert boot("hello").returncode == 127
