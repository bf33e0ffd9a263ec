"""Whether libkrun can boot a kernel of the box's own on this kind of processor.

What it cannot, it ignores without a word or dies of (libkrun 1.16.0 and 2.0-dev, seen in probes).
"""

from __future__ import annotations

from krunc_launcher._rare_rules import ARCHITECTURES
from krunc_launcher.errors import plain
from krunc_launcher.resolve.operation import meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# On x86-64 libkrun maps a raw kernel's file into the memory, at 2 GiB, in whole pages. Seen: up to
# 2 GiB of memory it aborts; up to the devices, at 3328 MiB, the two overlap: -22.
_RAW_ABOVE_MIB = 3328
_PAGE = 4096


def unfit(
    operation: Operation, memory_mib: int, machine: str, directories: Directories
) -> Iterator[str]:
    """Tell why the kernel of OPERATION does not boot on MACHINE with MEMORY_MIB."""
    rules = operation.rule["params"]
    given = {rule["name"]: value for rule, value in zip(rules, operation.values, strict=True)}
    kinds = [given[rule["name"]] for rule in rules if rule.get("enum") == "kernel_format"]
    path = meant([operation], "kernel")
    if not kinds:
        return
    name = kinds[0].c.removeprefix("KRUN_KERNEL_FORMAT_").lower()
    able = [arch for arch, row in ARCHITECTURES.items() if name in row["kernel_formats"]]
    if not any(machine in ARCHITECTURES[arch]["machines"] for arch in able):
        yield f"a kernel of the format {name} boots only on {' and '.join(able)}; this is {machine}"
    if name != "raw" or machine not in ARCHITECTURES["x86_64"]["machines"]:
        return
    if memory_mib <= _RAW_ABOVE_MIB:
        yield (
            f"libkrun has no room for a raw kernel in {memory_mib} MiB of memory: give the VM more "
            f"than {_RAW_ABOVE_MIB} MiB, or use the elf kernel (vmlinux)"
        )
    try:
        size = directories.status(path).st_size
    except OSError:
        size = 0  # the condition of the file tells why
    if size % _PAGE:
        yield (
            f"{plain(path)}: libkrun takes a raw kernel in whole pages of {_PAGE} bytes: fill it "
            f"up with truncate -s %{_PAGE}, or use the elf kernel (vmlinux)"
        )
    for what in ("initramfs", "cmdline"):
        if given.get(what) is not None:
            yield f"libkrun ignores {what} with a raw kernel here; use the elf kernel (vmlinux)"
