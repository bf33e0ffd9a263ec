"""An emulated host of its own with a real systemd as process 1, krunc and libkrun installed as
docs/engines.md says, for units and jobs of engines that boot real microVMs."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import krunc_launcher
import pytest
from generate_start import made
from kvmhost import debian, emulation, job, machine
from kvmhost.errors import HostError
from places import ROOT

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# A boot takes 10 to 20 s of emulation; this only ends what hangs.
PATIENCE = 300


class DebianHost:
    """The host that is up in DIRECTORY. It sees no other directory of this machine, writes to none,
    and forgets all that was put there when it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def run(self, *words: str, check: bool = True) -> str:
        """Run a program there as root, and return its output."""
        place, env = Path("/"), {"PATH": _PATH}
        try:
            done = job.run(self._directory, words, timeout=PATIENCE, cwd=place, env=env)
        except (subprocess.TimeoutExpired, HostError) as error:
            raise self._lost(str(error)) from error
        said = done.stdout.decode("utf-8", "replace")
        assert not check or done.returncode == 0, (words, said, done.stderr.decode())
        return said

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script of the shell there as root, and return its output."""
        return self.run("sh", "-euc", script, check=check)

    def put(self, tree: Path, to: str = "/") -> None:
        """Copy what lies in TREE to the directory TO there."""
        with tempfile.TemporaryDirectory(dir=self._directory) as shared:
            shutil.copytree(tree, shared, symlinks=True, dirs_exist_ok=True)
            to, source = shlex.quote(to), emulation.SHARED / Path(shared).name
            self.sh(f"mkdir -p {to}; cp -R {source}/. {to}")

    def json(self, path: str) -> dict[str, Any]:
        """Return the value that a file there holds."""
        found: dict[str, Any] = json.loads(self.run("cat", path))
        return found

    def waits_for(self, true: Callable[[], object], told: str) -> None:
        """Wait until TRUE; the script TOLD says what is the matter when it never is."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise self._lost(self.sh(told, check=False))
            time.sleep(0.5)

    def _lost(self, told: str) -> HostError:
        """End the host, and return the error by which the test is run once more, on a new one: a VM
        or the host hangs now and then under emulation."""
        error = machine.lost(self._directory, f"or a VM in it does not go on:\n{told}")
        machine.down(self._directory)
        return error


@pytest.fixture(scope="session")
def debian_place(
    tmp_path_factory: pytest.TempPathFactory, libkrun_2: Path
) -> Iterator[tuple[Path, Path]]:
    """Where the host of all tests is, and what is installed there."""
    directory = tmp_path_factory.mktemp("debian")
    yield directory, _installed(tmp_path_factory.mktemp("installed"), libkrun_2)
    machine.down(directory)


@pytest.fixture
def debian_host(debian_place: tuple[Path, Path]) -> DebianHost:
    """A host with systemd as process 1, krunc as /usr/bin/krunc-launch, and libkrun 2.0-dev: the one of
    the test before, unless that was lost."""
    directory, installed = debian_place
    host = DebianHost(directory)
    if not machine.is_up(directory):
        machine.up(directory, machine.IDLE, root=debian.root())
        # Its socket is there once systemd takes orders; a degraded system ends with 1.
        host.sh("until [ -S /run/systemd/private ]; do sleep 0.2; done")
        host.run("systemctl", "is-system-running", "--wait", check=False)
        host.put(installed)
    return host


def guest_root(root: Path) -> None:
    """Make a root for guests with a shell, and a directory `kept` to write to."""
    for directory in ("bin", "dev", "proc", "sys", "tmp", "kept"):
        (root / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "cat", "echo", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")


def _installed(to: Path, libkrun: Path) -> Path:
    """What pip would make of krunc's wheel and libkrun's with the prefix /usr, without pip."""
    (version,) = {path.name for path in (debian.root() / "usr/lib").glob("python3.*")}
    packages = to / "usr/lib" / version / "site-packages"
    launcher = Path(krunc_launcher.__path__[0])
    pycache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(launcher, packages / "krunc_launcher", ignore=pycache)
    for name, text in made(launcher).items():
        (packages / "krunc_launcher" / name).write_text(text, "utf-8")
    (packages / "smol").mkdir()
    for one in (libkrun, libkrun.with_name("libkrunfw.so.5")):
        shutil.copy(one, packages / "smol")
    (to / "usr/bin").mkdir()
    program = to / "usr/bin/krunc-launch"
    script = (ROOT / "launcher/scripts/krunc-launch").read_text()
    program.write_text(script.replace("#!python", "#!/usr/bin/python3"))
    program.chmod(0o755)
    return to
