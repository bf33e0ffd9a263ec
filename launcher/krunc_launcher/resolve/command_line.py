"""How long the guest kernel's command line gets, which holds the program and its texts."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import CARRIED, KERNEL_CMDLINE
from krunc_launcher.plan.sequence import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.plan.text import Findings
    from krunc_launcher.resolve.operation import Operation, Variable


def fit(done: list[Operation], found: Findings) -> None:
    """Append to FOUND when the kernel would cut off what libkrun puts on its command line."""
    on_line = KERNEL_CMDLINE["device_bytes"].get(system.uname().machine, 0)
    size = len(KERNEL_CMDLINE["prolog"]) + devices([operation.name for operation in done]) * on_line
    last = 0
    for operation in done:
        if operation.name not in CARRIED:
            continue
        last = operation.index
        for rule, value in zip(operation.rule["params"], operation.values, strict=True):
            word = rule.get("command_line")
            if word is None:
                continue
            if "command_line_mark" in rule:
                size += len(rule["command_line_mark"]) + 1
            if type(value) is not list:
                size += len(word) + len(value) + 1 if value else 0
            elif word:  # one word of them all, within quotes
                size += len(word) + len(",".join(value)) + 3
            else:
                size += sum(_length(item) + 3 for item in value)
    most = KERNEL_CMDLINE["max_bytes"]
    if size > most:
        sentence = f"about {size} bytes for the guest kernel's command line, which holds {most}"
        found.append((("operations", last), sentence))


def _length(item: str | Variable) -> int:
    return len(item) if isinstance(item, str) else len(item.name) + 1 + len(item.text)
