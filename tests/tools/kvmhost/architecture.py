"""What an emulated machine is made of, by its architecture."""

import os
from typing import NamedTuple

from kvmhost.errors import HostError


class Architecture(NamedTuple):
    """One kind of emulated machine; parts are QEMU's options, modules Linux's names."""

    name: str  # as a box's `arch` has it
    machine: str  # as uname(2) has it
    debian: str
    qemu: str
    package: str  # that brings it
    board: tuple[str, ...]
    console: str
    orders: tuple[str, ...]  # the device of the line over which orders come, and
    orders_tty: str  # its name inside
    root_modules: tuple[str, ...]  # needed to see the root file system
    other_modules: tuple[str, ...]  # loaded while that is being mounted
    parameters: tuple[str, ...]  # of the kernel, besides those of all
    memory: int  # MiB; this machine's is taken only as the emulated one touches its own
    processors: tuple[str, ...] = ("-accel", "tcg,thread=multi", "-smp", "2")

    @property
    def kernel(self) -> str:
        """The package whose only dependency is the current kernel. "cloud" is the build for virtual
        machines: it boots faster than the common one, and its kvm-amd does not need the ccp driver.
        """
        return f"linux-image-cloud-{self.debian}"

    @property
    def is_own(self) -> bool:
        """Whether programs of this machine run on it, so that it can have this machine's root."""
        return self.machine == os.uname().machine


_CPU = "qemu64,+svm,+npt,+rdrand,-cx16"
_KINDS = (
    Architecture(
        name="x86_64",
        machine="x86_64",
        debian="amd64",
        qemu="qemu-system-x86_64",
        package="qemu-system-x86",
        # Of the models that TCG can do this boots a microVM quickest: 7.2 s against 8.6 s with EPYC
        # (median of 10, QEMU 7.2), whose AVX costs emulation. rdrand: without it the kernel has
        # random numbers only after 10 s. cx16: QEMU 7.2's cmpxchg16b, by which Linux allocates memory,
        # is not right. 20 of 36 starts of a Linux 6.12 ended in a panic, 0 of 12 without; boots of
        # microVMs on 6.1 took 18 minutes instead of 25, and 1 of them hung instead of 5.
        board=("-M", "pc,usb=off", "-bios", "qboot.rom", "-cpu", _CPU),
        console="ttyS0",
        orders=("-serial", "chardev:orders"),
        orders_tty="ttyS1",
        root_modules=("virtio_pci", "virtiofs"),
        other_modules=("kvm_amd", "tun"),
        # A fifth of the time to boot. TCG's time stamp counter is the host's: the same on all CPUs.
        parameters=("tsc=reliable",),
        memory=3072,
    ),
    Architecture(
        name="arm64",
        machine="aarch64",
        debian="arm64",
        qemu="qemu-system-aarch64",
        package="qemu-system-arm",
        # EL2, where KVM lives. "max" has pointer authentication, which TCG computes in full: a boot
        # takes four times as long.
        board=("-M", "virt,virtualization=on,gic-version=3", "-cpu", "neoverse-n1"),
        console="ttyAMA0",
        # "virt" has one serial port.
        orders=("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=orders"),
        orders_tty="hvc0",
        root_modules=("virtio_pci", "virtiofs", "virtio_console"),
        # KVM is built in. This machine has overlay for the tests of the stage, which run inside.
        other_modules=("tun", "overlay"),
        parameters=(),
        memory=5120,  # the launcher's tests run inside, with VMs of 4 GiB that are never entered
    ),
)
NAMES = tuple(kind.name for kind in _KINDS)


def of(name: str) -> Architecture:
    """The kind with this name."""
    (kind,) = (kind for kind in _KINDS if kind.name == name)
    return kind


def counted() -> Architecture:
    """The kind on which programs of this machine run, with a clock that counts what its only
    processor executes: what else this machine does is not in a time of there. It is some five times
    slower. In what waits for this machine's files real time goes by.
    """
    counting = ("-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=1")  # of 2 ns each
    return own()._replace(processors=counting)


def own() -> Architecture:
    """The kind on which programs of this machine run."""
    for kind in _KINDS:
        if kind.is_own:
            return kind
    raise HostError(f"no emulated machine is known for {os.uname().machine}")
