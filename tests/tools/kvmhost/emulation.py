"""What the emulated machine consists of: QEMU, and virtiofsd that serves it this one's files."""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kvmhost import detached
from kvmhost.architecture import Architecture
from kvmhost.needs import Programs

# Where a host with a root of its own has the machine's directory.
SHARED = Path("/srv")
# kernel-command-line(7) of systemd; nobody is there to be asked at a first boot.
_SYSTEMD_PARAMETERS = ("systemd.firstboot=off", "systemd.show_status=no")

# Documentation/admin-guide/kernel-parameters.txt, in the kernel's source
_KERNEL_PARAMETERS = (
    # Any fault ends QEMU (with -no-reboot), and so does a CPU that hangs in the kernel for 60 s, or
    # gets no interrupts for as long.
    *("quiet", "panic=-1", "oops=panic", "softlockup_panic=1", "watchdog_thresh=30"),
    *("rcupdate.rcu_cpu_stall_timeout=60", "sysctl.kernel.panic_on_rcu_stall=1"),
    *("mitigations=off", "nokaslr", "cryptomgr.notests"),
)


def start(
    kind: Architecture,
    programs: Programs,
    image: Path,
    archive: Path,
    at: Path,
    *,
    foreign: Path | None,
    root: Path | None,
    idle: int,
    die_with_parent: bool,
) -> None:
    """Start the programs, with their pid files, logs and FIFOs in the empty directory at.

    image, archive: the kernel and its first file system. foreign: the directory that becomes the
    root of a machine of another architecture. root, idle: see machine.up.
    """
    os.mkfifo(at / "orders.in")
    os.mkfifo(at / "orders.out")
    state = at if root is None else SHARED / at.name
    parameters = (
        f"console={kind.console}",
        *_KERNEL_PARAMETERS,
        *kind.parameters,
        # Names without a dot: the kernel hands them to its first program, init.sh, as environment.
        f"kvmhost_state={_encoded(state)}",
        f"kvmhost_root={_encoded(foreign) if foreign else ''}",
        f"kvmhost_orders={kind.orders_tty}",
        f"kvmhost_idle={idle}",
        *(() if root is None else ("kvmhost_own_root=yes", *_SYSTEMD_PARAMETERS)),
    )
    served = {"root": Path("/")} if root is None else {"root": root, "shared": at.parent}
    connected: dict[str, int] = {}

    def start_one(argv: list[str], name: str, inherited: Sequence[int]) -> None:
        detached.start(
            argv,
            at / f"{name}.pid",
            at / "host.log",
            inherited=inherited,
            die_with_parent=die_with_parent,
        )

    with contextlib.ExitStack() as stack:
        for tag, source in served.items():
            listening, connected[tag] = stack.enter_context(_socket_pair(at))
            argv = _virtiofsd(programs.virtiofsd, listening, source)
            start_one(argv, f"virtiofsd-{tag}", [listening])
        argv = _qemu(kind, programs.qemu, image, archive, parameters, at, connected)
        start_one(argv, "qemu", list(connected.values()))


def running(at: Path) -> bool:
    """Tell whether all programs run that were started in the directory at."""
    pidfiles = list(at.glob("*.pid"))
    return at / "qemu.pid" in pidfiles and all(map(detached.running, pidfiles))


def stop(at: Path) -> None:
    """End what was started in the directory at."""
    for pidfile in (at / "qemu.pid", *at.glob("virtiofsd-*.pid")):
        detached.stop(pidfile)


def _encoded(path: Path) -> str:
    """A path as a word of the kernel's command line."""
    return base64.b64encode(os.fsencode(path)).decode()


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


def _virtiofsd(program: str, listening: int, source: Path) -> list[str]:
    """Options that both virtiofsd know: QEMU's own, in C, up to 7.2 and the one in Rust.

    cache=always: with auto, each open of a file reads all of it anew; what the host changes is seen
    by the next job, see serve.sh.
    """
    directory = str(source).replace("\\", "\\\\").replace(",", "\\,")  # libfuse's quoting
    options = f"source={directory},sandbox=chroot,xattr,cache=always"
    return [program, f"--fd={listening}", "-o", options]


def _share(tag: str, handle: int) -> list[str]:
    """Return QEMU's options for the files that a virtiofsd behind HANDLE serves."""
    device = f"vhost-user-fs-pci,chardev={tag},tag={tag},queue-size=1024"
    return ["-chardev", f"socket,id={tag},fd={handle}", "-device", device]


def _qemu(
    kind: Architecture,
    program: str,
    image: Path,
    archive: Path,
    parameters: tuple[str, ...],
    at: Path,
    connected: Mapping[str, int],
) -> list[str]:
    directory = str(at).replace(",", ",,")  # QEMU's quoting, in options with commas
    return [
        program,
        *("-name", "kvmhost", "-nodefaults", "-display", "none", "-no-reboot"),
        *(*kind.board, *kind.processors),
        *("-m", str(kind.memory), "-numa", "node,memdev=memory"),
        # Shared: virtiofsd works on the emulated machine's memory.
        *("-object", f"memory-backend-memfd,id=memory,size={kind.memory}M,share=on"),
        *(word for tag, handle in connected.items() for word in _share(tag, handle)),
        *("-chardev", f"file,id=console,path={directory}/console", "-serial", "chardev:console"),
        *("-chardev", f"pipe,id=orders,path={directory}/orders", *kind.orders),
        *("-kernel", str(image), "-initrd", str(archive), "-append", " ".join(parameters)),
    ]
