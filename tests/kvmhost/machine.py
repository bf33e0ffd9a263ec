"""The emulated machine: QEMU and the virtiofsd that serves it this machine's files.

Its state is a directory, which any process may use that knows its name: the folder "machine" in it
holds pid files, logs, the line for orders and a folder per job.
"""

import base64
import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kvmhost import detached, initrd, kernel, needs
from kvmhost.errors import HostError
from kvmhost.lock import locked

MEMORY = 3072  # MiB; allocated only when the emulated machine touches it
CPUS = 2
BOOT_TIMEOUT = 120  # seconds; some 4 on an idle machine
IDLE = 1800  # seconds
_NEVER = 1_000_000  # seconds without a job, for a machine that ends with its only job

# Of the models that TCG can do this boots a microVM quickest: 7.2 s against 8.6 s with EPYC (median
# of 10, QEMU 7.2), whose AVX costs emulation. rdrand: without it the kernel has random numbers
# only after 10 s.
_CPU = "qemu64,+svm,+npt,+rdrand"

# Documentation/admin-guide/kernel-parameters.txt, in the kernel's source
_KERNEL_PARAMETERS = (
    # Any fault ends QEMU (with -no-reboot), and so does a CPU that hangs in the kernel for 60 s.
    *("console=ttyS0", "quiet", "panic=-1", "oops=panic"),
    *("softlockup_panic=1", "watchdog_thresh=30"),
    # A quarter of the time to boot. TCG's time stamp counter is the host's: the same on all CPUs.
    *("tsc=reliable", "mitigations=off", "nokaslr", "cryptomgr.notests"),
)


def default_directory() -> Path:
    """KVMHOST_DIR, or one per user that outlives neither the login nor the boot."""
    chosen = os.environ.get("KVMHOST_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(home, f"krunc-kvmhost-{os.getuid()}")


def state(directory: Path) -> Path:
    """The folder with the machine's files, by the name that it has on both sides."""
    return directory.resolve() / "machine"


def alive(directory: Path) -> bool:
    """Do its processes run? It may still be booting, or on its way down."""
    at = state(directory)
    return detached.running(at / "qemu.pid") and detached.running(at / "virtiofsd.pid")


def is_up(directory: Path) -> bool:
    """Does it take jobs?"""
    return (state(directory) / "ready").exists() and alive(directory)


def up(directory: Path, idle: int = IDLE) -> None:
    """Boot a machine unless one is up; who comes second waits for it.

    idle: seconds without a job after which it powers itself off.
    """
    with locked(directory):
        if not is_up(directory):
            _remove(directory)
            _boot(directory, idle, die_with_parent=False)


def down(directory: Path) -> None:
    """Stop the machine, with all jobs in it, and remove the directory. Fine when there is none."""
    if directory.is_dir():
        with locked(directory):
            _remove(directory)
            with contextlib.suppress(OSError):  # what is not ours stays
                directory.rmdir()


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A machine for one block of code; it dies with this thread, even by SIGKILL."""
    directory = Path(tempfile.mkdtemp(prefix="krunc-kvmhost-"))
    try:
        with locked(directory):
            _boot(directory, _NEVER, die_with_parent=True)
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
            words = (at / file).read_text(errors="replace").strip()[-3000:]
            if words:
                message += f"\n--- the end of {title} ---\n{words}"
    return HostError(message)


def _remove(directory: Path) -> None:
    at = state(directory)
    detached.stop(at / "qemu.pid")
    detached.stop(at / "virtiofsd.pid")
    shutil.rmtree(at, ignore_errors=True)


def _boot(directory: Path, idle: int, *, die_with_parent: bool) -> None:
    programs = needs.find()
    tree = kernel.fetch()
    archive = initrd.prepare(tree, programs.busybox)
    at = state(directory)
    try:
        at.mkdir(mode=0o700)
        os.mkfifo(at / "orders.in")
        os.mkfifo(at / "orders.out")
        _start(programs, kernel.image(tree), archive, at, idle, die_with_parent)
        end = time.monotonic() + BOOT_TIMEOUT
        while not (at / "ready").exists():
            if not alive(directory):
                raise lost(directory, "did not boot")
            if time.monotonic() > end:
                raise lost(directory, f"did not boot within {BOOT_TIMEOUT} s")
            time.sleep(0.01)
    except BaseException:
        _remove(directory)
        raise


def _start(
    programs: needs.Programs, image: Path, archive: Path, at: Path, idle: int, die: bool
) -> None:
    """Start both programs, connected by a socket that has no name once it is connected."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connected:
        with tempfile.TemporaryDirectory(prefix="krunc-kvmhost-socket-") as private:
            listening.bind(f"{private}/virtiofs")
            listening.listen(1)
            connected.connect(f"{private}/virtiofs")
        detached.start(
            _virtiofsd_argv(programs.virtiofsd, listening.fileno()),
            at / "virtiofsd.pid",
            at / "host.log",
            inherited=listening.fileno(),
            die_with_parent=die,
        )
        parameters = {
            # Printable, whatever the path: the kernel hands these to init as environment.
            "kvmhost_state": base64.b64encode(os.fsencode(at)).decode(),
            "kvmhost_idle": str(idle),
        }
        append = " ".join([*_KERNEL_PARAMETERS, *(f"{k}={v}" for k, v in parameters.items())])
        detached.start(
            _qemu_argv(programs.qemu, image, archive, append, at, connected.fileno()),
            at / "qemu.pid",
            at / "host.log",
            inherited=connected.fileno(),
            die_with_parent=die,
        )


def _virtiofsd_argv(program: str, listening: int) -> list[str]:
    """Options that both virtiofsd know, the one of QEMU up to 7.2 and the one in Rust.

    cache=auto: what the host changes is seen within a second; see also serve.sh.
    """
    options = "source=/,sandbox=chroot,xattr,cache=auto"
    return [program, f"--fd={listening}", "-o", options]


def _qemu_argv(
    program: str, image: Path, archive: Path, append: str, at: Path, virtiofs: int
) -> list[str]:
    folder = str(at).replace(",", ",,")  # QEMU's own quoting
    return [
        program,
        *("-name", "kvmhost", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-M", "pc,usb=off", "-bios", "qboot.rom", "-accel", "tcg,thread=multi", "-cpu", _CPU),
        *("-smp", str(CPUS), "-m", str(MEMORY), "-numa", "node,memdev=memory"),
        # Shared: virtiofsd works on the emulated machine's memory.
        *("-object", f"memory-backend-memfd,id=memory,size={MEMORY}M,share=on"),
        *("-chardev", f"socket,id=virtiofs,fd={virtiofs}"),
        *("-device", "vhost-user-fs-pci,chardev=virtiofs,tag=root,queue-size=1024"),
        *("-serial", f"file:{folder}/console"),
        *("-chardev", f"pipe,id=orders,path={folder}/orders", "-serial", "chardev:orders"),
        *("-kernel", str(image), "-initrd", str(archive), "-append", append),
    ]
