"""How long the guest kernel's command line gets, which holds the program and its texts."""

from __future__ import annotations

from krunc_launcher._rules import KERNEL_CMDLINE
from krunc_launcher.plan.sequence import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings
    from krunc_launcher.resolve.operation import Operation, Variable


# What stands before each argument on the command line; lists without a word are quoted items.
_WORDS = {
    "krun_set_exec": ("", "KRUN_INIT=", "", ""),
    "krun_set_env": ("", ""),
    "krun_set_workdir": ("", "KRUN_WORKDIR="),
    "krun_set_rlimits": ("", "KRUN_RLIMITS="),
    "krun_set_root_disk_remount": (
        "",
        "KRUN_BLOCK_ROOT_DEVICE=",
        "KRUN_BLOCK_ROOT_FSTYPE=",
        "KRUN_BLOCK_ROOT_OPTIONS=",
    ),
}


def fit(plan: dict[str, Any], done: list[Operation], found: Findings) -> None:
    """Append to FOUND when the kernel would cut off what libkrun puts on its command line."""
    size = (
        len(KERNEL_CMDLINE["prolog"]) + devices(plan["operations"]) * KERNEL_CMDLINE["device_bytes"]
    )
    last = 0
    for operation in done:
        words = _WORDS.get(operation.name)
        if words is None:
            continue
        last = operation.index
        for word, value in zip(words, operation.values, strict=True):
            if type(value) is not list:
                size += len(word) + len(value) + 1 if value else 0
            elif word:  # one word of them all, within quotes
                size += len(word) + len(",".join(value)) + 3
            else:
                size += sum(_length(item) + 3 for item in value)
        size += len(" --") if operation.name == "krun_set_exec" else 0
    most = KERNEL_CMDLINE["max_bytes"]
    if size > most:
        sentence = f"about {size} bytes for the guest kernel's command line, which holds {most}"
        found.append((("operations", last), sentence))


def _length(item: str | Variable) -> int:
    return len(item) if isinstance(item, str) else len(item.name) + 1 + len(item.text)
