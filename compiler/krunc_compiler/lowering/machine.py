"""libkrun's log, the context, vCPUs and memory."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.api import Target
from krunc_compiler.box import Box
from krunc_compiler.operation import Operation


def log(box: Box, target: Target) -> Iterator[Operation]:
    """The log goes to stderr; without it a failed start says nothing but -22."""
    del target
    args = {"target_fd": "stderr", "level": box.log_level, "style": "auto", "options": []}
    yield Operation("call", "krun_init_log", box.origin("log", "level"), args, warn=True)


def context(box: Box, target: Target) -> Iterator[Operation]:
    """The configuration context that all later calls fill."""
    del box, target
    yield Operation("call", "krun_create_ctx")


def configuration(box: Box, target: Target) -> Iterator[Operation]:
    """vCPUs and memory."""
    del target
    yield Operation(
        "call",
        "krun_set_vm_config",
        box.origin("machine"),
        {"num_vcpus": box.machine.cpus, "ram_mib": box.machine.memory_mib},
        places={"num_vcpus": ("machine", "cpus"), "ram_mib": ("machine", "memory")},
    )
