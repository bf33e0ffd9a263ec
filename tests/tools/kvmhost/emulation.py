"""What the emulated machine consists of: QEMU, and virtiofsd that serves it this one's files."""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from kvmhost import detached
from kvmhost.needs import Programs

MEMORY = 3072  # MiB; this machine's memory is taken only as the emulated one touches its own
CPUS = 2

# Of the models that TCG can do this boots a microVM quickest: 7.2 s against 8.6 s with EPYC (median
# of 10, QEMU 7.2), whose AVX costs emulation. rdrand: without it the kernel has random numbers
# only after 10 s.
_CPU = "qemu64,+svm,+npt,+rdrand"

# Documentation/admin-guide/kernel-parameters.txt, in the kernel's source
_KERNEL_PARAMETERS = (
    # Any fault ends QEMU (with -no-reboot), and so does a CPU that hangs in the kernel for 60 s.
    *("console=ttyS0", "quiet", "panic=-1", "oops=panic"),
    *("softlockup_panic=1", "watchdog_thresh=30"),
    # A fifth of the time to boot. TCG's time stamp counter is the host's: the same on all CPUs.
    *("tsc=reliable", "mitigations=off", "nokaslr", "cryptomgr.notests"),
)


def start(
    programs: Programs, image: Path, archive: Path, at: Path, *, idle: int, die_with_parent: bool
) -> None:
    """Start both programs, with their pid files, logs and FIFOs in the empty directory at.

    image, archive: the kernel and its first file system. idle: see serve.sh.
    """
    os.mkfifo(at / "orders.in")
    os.mkfifo(at / "orders.out")
    parameters = (
        *_KERNEL_PARAMETERS,
        # Names without a dot: the kernel hands them to its first program, init.sh, as environment.
        f"kvmhost_state={base64.b64encode(os.fsencode(at)).decode()}",
        f"kvmhost_idle={idle}",
    )
    with _socket_pair(at) as (listening, connected):
        for name, argv, inherited in (
            ("virtiofsd", _virtiofsd(programs.virtiofsd, listening), listening),
            ("qemu", _qemu(programs.qemu, image, archive, parameters, at, connected), connected),
        ):
            detached.start(
                argv,
                at / f"{name}.pid",
                at / "host.log",
                inherited=inherited,
                die_with_parent=die_with_parent,
            )


@contextlib.contextmanager
def _socket_pair(at: Path) -> Iterator[tuple[int, int]]:
    """A listening socket and one that is connected to it: virtiofsd wants to accept.

    So neither program waits for the other, and no socket file is left.
    """
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connected:
        directory = os.open(at, os.O_RDONLY)
        try:
            name = f"/proc/self/fd/{directory}/socket"  # sun_path has 108 bytes, at perhaps more
            listening.bind(name)
            listening.listen(1)
            connected.connect(name)
            os.unlink(name)
        finally:
            os.close(directory)
        yield listening.fileno(), connected.fileno()


def _virtiofsd(program: str, listening: int) -> list[str]:
    """Options that both virtiofsd know: QEMU's own, in C, up to 7.2 and the one in Rust.

    cache=always: with auto, each open of a file reads all of it anew; what the host changes is seen
    by the next job, see serve.sh.
    """
    return [program, f"--fd={listening}", "-o", "source=/,sandbox=chroot,xattr,cache=always"]


def _qemu(
    program: str, image: Path, archive: Path, parameters: tuple[str, ...], at: Path, connected: int
) -> list[str]:
    directory = str(at).replace(",", ",,")  # QEMU's quoting, in options with commas
    return [
        program,
        *("-name", "kvmhost", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-M", "pc,usb=off", "-bios", "qboot.rom", "-accel", "tcg,thread=multi", "-cpu", _CPU),
        *("-smp", str(CPUS), "-m", str(MEMORY), "-numa", "node,memdev=memory"),
        # Shared: virtiofsd works on the emulated machine's memory.
        *("-object", f"memory-backend-memfd,id=memory,size={MEMORY}M,share=on"),
        *("-chardev", f"socket,id=virtiofs,fd={connected}"),
        *("-device", "vhost-user-fs-pci,chardev=virtiofs,tag=root,queue-size=1024"),
        *("-chardev", f"file,id=console,path={directory}/console", "-serial", "chardev:console"),
        *("-chardev", f"pipe,id=orders,path={directory}/orders", "-serial", "chardev:orders"),
        *("-kernel", str(image), "-initrd", str(archive), "-append", " ".join(parameters)),
    ]
