"""libkrun's log, the context, and the machine: vCPUs, memory, what the CPU offers."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box
from krunc_compiler.libkrun import Target
from krunc_compiler.lowering.endpoints import opening, value
from krunc_compiler.plan.operation import Operation

_INIT_LOG = (1, 13)


def log(box: Box, target: Target) -> Iterator[Operation]:
    """Without a log a failed start says nothing but -22. Before 1.13 only its level can be set."""
    settings = box.log
    level = box.origin("log", "level")
    plain = (settings.target, settings.style, settings.environment) == ("stderr", "auto", True)
    if target.version is not None and target.version < _INIT_LOG and plain:
        yield Operation("call", "krun_set_log_level", level, {"level": settings.level}, warn=True)
        return
    yield from opening(settings.target, "log", ("log", "target", "file"), box)
    yield Operation(
        "call",
        "krun_init_log",
        level if plain else box.origin("log"),
        {
            "target_fd": value(settings.target, "log"),
            "level": settings.level,
            "style": settings.style,
            "options": [] if settings.environment else ["no_env"],
        },
        warn=True,
    )


def context(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the configuration context that all later calls fill."""
    del box, target
    yield Operation("call", "krun_create_ctx")


def architecture(box: Box) -> Iterator[Operation]:
    """Yield the demand for the processors that the box names; an image's stands with the image."""
    if box.arch is not None and box.image is None:
        args = {"architecture": box.arch}
        yield Operation("step", "require_architecture", box.origin("arch"), args)


def configuration(box: Box, target: Target) -> Iterator[Operation]:
    """vCPUs, memory, and what else the box says of the machine."""
    del target
    machine = box.machine
    yield Operation(
        "call",
        "krun_set_vm_config",
        box.origin("machine"),
        {"num_vcpus": machine.cpus, "ram_mib": machine.memory_mib},
        places={"num_vcpus": ("machine", "cpus"), "ram_mib": ("machine", "memory")},
    )
    if machine.nested:
        nested = ("machine", "nested")
        yield Operation("call", "krun_set_nested_virt", nested, {"enabled": True})
    if machine.split_irqchip:
        split = ("machine", "split_irqchip")
        yield Operation("call", "krun_split_irqchip", split, {"enable": True})
    if machine.oem_strings:
        yield Operation(
            "call",
            "krun_set_smbios_oem_strings",
            ("machine", "oem_strings"),
            {"oem_strings": list(machine.oem_strings)},
            places={"oem_strings": ("machine", "oem_strings")},
        )
    if machine.tee is not None:
        tee = ("machine", "tee")
        yield Operation(
            "call",
            "krun_set_tee_config_file",
            tee,
            {"filepath": machine.tee},
            places={"filepath": tee},
        )


def confine(box: Box, target: Target) -> Iterator[Operation]:
    """Tell what of the host is taken from the VM's process; after all that opens something."""
    del target
    if box.confine != "off":
        yield Operation("step", "confine", box.origin("confine"), {"mode": box.confine})


def stop(box: Box, target: Target) -> Iterator[Operation]:
    """Tell what SIGTERM does; libkrun itself would end the VM at once."""
    if box.stop.on_sigterm != "kill" and can_interrupt(box, target):
        args = {"grace_s": box.stop.grace_s}
        yield Operation("step", "stop_on_sigterm", box.origin("stop"), args)


def timeout(box: Box, target: Target) -> Iterator[Operation]:
    """Tell after what time the VM is ended."""
    del target
    if box.timeout_s is not None:
        where = ("timeout",)
        args = {"seconds": box.timeout_s}
        yield Operation("step", "end_after", where, args, places={"seconds": where})


def can_interrupt(box: Box, target: Target) -> bool:
    """Tell whether a SIGINT reaches the guest's program: krun_set_console_output takes away the
    console's input, and SIGINT then ends the VM (1.16.0, seen in boots)."""
    return target.family == 2 or box.console.output is None


def run_as(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the host user that the process becomes; libkrun changes the group first."""
    del target
    if box.run_as is not None:
        uid, gid = ("run_as", "uid"), ("run_as", "gid")
        yield Operation("call", "krun_setgid", gid, {"gid": box.run_as.gid})
        yield Operation("call", "krun_setuid", uid, {"uid": box.run_as.uid})
