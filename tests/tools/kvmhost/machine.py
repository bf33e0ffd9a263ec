"""The emulated machine's life: up, alive, down.

Its state is a directory, which any process may use that knows its name: the directory "machine" in it
holds pid files, logs, the line for orders and a directory per job.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kvmhost import architecture, emulation, foreign, initrd, kernel, needs
from kvmhost.architecture import Architecture
from kvmhost.errors import HostError
from kvmhost.lock import locked

# Seconds; 3 on an idle machine. One that hangs there, as they do under emulation, is started anew.
_BOOT_TIMEOUT, _TRIES = 90, 3
IDLE = 1800  # seconds
_NEVER = 1_000_000  # seconds without a job, for a machine that ends with its only job


def default_directory(kind: Architecture) -> Path:
    """KVMHOST_DIR, or one per user that outlives neither the login nor the boot."""
    chosen = os.environ.get("KVMHOST_DIR")
    if chosen:
        return Path(chosen)
    if not kind.is_own:  # which has a /run of its own
        return Path(tempfile.gettempdir(), f"krunc-kvmhost-{kind.name}-{os.getuid()}")
    home = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(home, f"krunc-kvmhost-{os.getuid()}")


def state(directory: Path) -> Path:
    """The directory with the machine's files, by the name that it has on both sides."""
    return directory.resolve() / "machine"


def alive(directory: Path) -> bool:
    """Do its processes run? It may still be booting, or on its way down."""
    return emulation.running(state(directory))


def is_up(directory: Path) -> bool:
    """Does it take jobs?"""
    return (state(directory) / "ready").exists() and alive(directory)


def is_of(directory: Path, kind: Architecture) -> bool:
    """Is the machine that is up of this architecture?"""
    return (state(directory) / "architecture").read_text() == kind.name


def up(
    directory: Path,
    idle: int = IDLE,
    kind: Architecture | None = None,
    root: Path | None = None,
) -> None:
    """Boot a machine unless one is up; who comes second waits for it.

    idle: seconds without a job after which it powers itself off. kind: this machine's, else.
    root: a directory with a system of its own, whose systemd is process 1 there; else the
    machine's root is this one's. What is written to such a root is kept in memory and gone with
    the machine: of this machine it sees that directory, which stays as it is, and `directory`, as
    emulation.SHARED.
    """
    kind = kind or architecture.own()
    with locked(directory):
        if is_up(directory):
            if not is_of(directory, kind):
                raise HostError(f"the machine that is up in {directory} is none of {kind.name}")
            return
        _stop(directory)
        try:
            _boot(directory, kind, idle, root=root, die_with_parent=False)
        except BaseException:
            _remove(directory)
            raise


def down(directory: Path) -> None:
    """Stop the machine, with all jobs in it, and remove the directory. Fine when there is none."""
    if directory.is_dir():
        with locked(directory):
            _remove(directory)


@contextlib.contextmanager
def temporary(kind: Architecture) -> Iterator[Path]:
    """A machine for one block of code; it dies with this thread, even by SIGKILL."""
    directory = Path(tempfile.mkdtemp(prefix="krunc-kvmhost-"))
    try:
        with locked(directory):
            _boot(directory, kind, _NEVER, root=None, die_with_parent=True)
        yield directory
    finally:
        down(directory)


def order(directory: Path, line: str) -> None:
    """Tell the machine something: see serve.sh. Short enough to be written as a whole."""
    try:
        # QEMU holds the other end; without it this must fail, not wait.
        fd = os.open(state(directory) / "orders.in", os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise lost(directory, "is not running") from error
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def lost(directory: Path, what: str) -> HostError:
    """The error for a machine that is not as it should be, with its last words."""
    at = state(directory)
    message = f"the emulated machine {what}"
    for title, file in (("its console", "console"), ("qemu and virtiofsd", "host.log")):
        with contextlib.suppress(FileNotFoundError):
            words = (at / file).read_text(errors="replace").strip()[-6000:]
            if words:
                message += f"\n--- the end of {title} ---\n{words}"
    return HostError(message)


def _stop(directory: Path) -> None:
    at = state(directory)
    emulation.stop(at)
    shutil.rmtree(at, ignore_errors=True)


def _remove(directory: Path) -> None:
    _stop(directory)
    with contextlib.suppress(OSError):  # not empty: what is not ours stays
        directory.rmdir()


def _boot(
    directory: Path, kind: Architecture, idle: int, *, root: Path | None, die_with_parent: bool
) -> None:
    if not kind.is_own and not foreign.sees(directory):
        raise HostError(f"a machine of {kind.name} does not see {directory}: choose another place")
    programs = needs.find(kind)
    tree = kernel.fetch(kind) if kind.is_own else foreign.tree(kind)
    archive = initrd.prepare(kind, tree, programs.busybox)
    at = state(directory)
    for left in reversed(range(_TRIES)):
        at.mkdir(mode=0o700)
        (at / "architecture").write_text(kind.name)
        emulation.start(
            kind,
            programs,
            kernel.image(tree),
            archive,
            at,
            foreign=None if kind.is_own else foreign.root(kind),
            root=root,
            idle=idle,
            die_with_parent=die_with_parent,
        )
        try:
            _await(directory)
            return
        except HostError as error:
            if not left:
                raise
            _stop(directory)
            print(f"kvmhost: {str(error).splitlines()[0]}; started anew", file=sys.stderr)


def _await(directory: Path) -> None:
    """Wait until the machine takes jobs."""
    end = time.monotonic() + _BOOT_TIMEOUT
    while not (state(directory) / "ready").exists():
        if not alive(directory):
            raise lost(directory, "did not boot")
        if time.monotonic() > end:
            raise lost(directory, f"did not boot within {_BOOT_TIMEOUT} s")
        time.sleep(0.01)
