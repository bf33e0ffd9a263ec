"""The kernel, firmware and init that the box brings along."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation


def implicit_init(box: Box, target: Target) -> Iterator[Operation]:
    """libkrun lays its init over the root when the root is added: this stands before."""
    del target
    if box.boot.init is not None:
        yield Operation("call", "krun_disable_implicit_init", ("boot", "init"))


def kernel(box: Box, target: Target) -> Iterator[Operation]:
    """Tell what boots instead of libkrunfw's kernel."""
    del target
    own = box.boot.kernel
    if own is not None:
        where = ("boot", "kernel")
        yield Operation(
            "call",
            "krun_set_kernel",
            where,
            {
                "kernel_path": own.path,
                "kernel_format": own.format,
                "initramfs": own.initramfs,
                "cmdline": own.cmdline,
            },
            places={
                "kernel_path": (*where, "path"),
                "initramfs": (*where, "initramfs"),
                "cmdline": (*where, "cmdline"),
            },
        )
    if box.boot.firmware is not None:
        place = ("boot", "firmware")
        args = {"firmware_path": box.boot.firmware}
        yield Operation("call", "krun_set_firmware", place, args, places={"firmware_path": place})
