"""Whether libkrun can boot a kernel of the box's own on this kind of processor.

What it cannot, it ignores without a word or dies of (libkrun 1.16.0 and 2.0-dev, seen in probes).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_X86 = "x86_64"
# libkrun loads a raw kernel at 2 GiB on x86-64 and aborts when that is beyond the memory.
_RAW_FROM_MIB = 2048


def unfit(values: list[Any], memory_mib: int, machine: str) -> Iterator[str]:
    """Why the arguments of krun_set_kernel do not boot on MACHINE with MEMORY_MIB."""
    _, _, kind, initramfs, cmdline = values
    name = kind.c.removeprefix("KRUN_KERNEL_FORMAT_").lower()
    if machine != _X86:
        if name not in ("raw", "pe_gz"):
            yield f"a kernel of the format {name} boots only on {_X86}; this is {machine}"
        return
    if name == "pe_gz":
        yield f"a kernel of the format pe_gz boots only on arm64; this is {machine}"
    if name != "raw":
        return
    if memory_mib <= _RAW_FROM_MIB:
        yield (
            f"a raw kernel is loaded at 2 GiB, above the VM's {memory_mib} MiB: give the VM more "
            "memory, or use the elf kernel (vmlinux)"
        )
    for what, value in (("initramfs", initramfs), ("cmdline", cmdline)):
        if value is not None:
            yield f"libkrun ignores {what} with a raw kernel here; use the elf kernel (vmlinux)"
