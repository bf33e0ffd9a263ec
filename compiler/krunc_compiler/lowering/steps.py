"""The order of a plan: one table, read from top to bottom."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from krunc_compiler.box.box import Box, DirectoryRoot
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.libkrun import Target, functions, implied, lacks
from krunc_compiler.lowering import (
    arguments,
    booting,
    channels,
    command_line,
    conditions,
    console,
    devices,
    extensions,
    image,
    machine,
    network,
    process,
    stage,
    storage,
)
from krunc_compiler.plan.operation import Operation

Step = Callable[[Box, Target], Iterator[Operation]]

# The order of libkrun calls is that of BoxLite's engine; libkrun accepts most wrong orders
# without a word and then means something else. The program comes between the two parts.
BEFORE_PROGRAM: tuple[Step, ...] = (
    machine.log,
    machine.context,
    machine.configuration,
    booting.kernel,
    booting.implicit_init,
    network.lower,
    extensions.smolmachines,
    storage.open_files,
    process.limits,
    storage.shares,
    storage.disks,
    storage.root,
)
AFTER_PROGRAM: tuple[Step, ...] = (
    channels.lower,
    devices.gpu,
    devices.displays,
    devices.inputs,
    devices.sound,
    devices.vhost_user,
    console.lower,
    machine.run_as,
    machine.timeout,
)

# What of the implicit things a key of the box asks for.
_ASKED_BY = {
    "vsock_with_tsi": "network",
    "all_guest_ports_published": "network",
    "no_network": "network",
}


class Lowered(NamedTuple):
    """Operations in order, and what is wrong with their arguments."""

    operations: list[Operation]
    findings: list[Finding]


def lower(box: Box, target: Target) -> Lowered:
    """Return the operations of BOX for TARGET.

    What libkrun does where a call is absent is written down too; then the VM is entered.
    """
    if box.entrypoint.is_nothing and box.boot.firmware is not None:
        return _lowered(box, target, process.nothing)
    because = stage.asked(box)
    if because and stage.possible(box):
        return _staged(box, target, because)
    lowered = _by_init(box, target)
    if lowered.findings or not command_line.has_room(lowered.operations, box.arch):
        # What neither the command line nor libkrun's own file carries, the stage does.
        staged = _staged(box, target, ("entrypoint",)) if stage.possible(box) else lowered
        if len(staged.findings) < max(1, len(lowered.findings)):
            return staged
    return lowered


def _by_init(box: Box, target: Target) -> Lowered:
    """Return the operations by which libkrun's own init starts the program."""
    has_file = _can_have_file(box, target)
    # On the command line every process of the guest can read the secrets, and a script is escaped.
    better = process.has_secrets(box) or box.entrypoint.script is not None
    if not (has_file and better and _surely_has_file(target)):
        on_line = _lowered(box, target, process.on_the_command_line)
        if not has_file or command_line.fits(*on_line, box.arch):
            return on_line
    return _lowered(box, target, process.in_the_configuration_file)


def _can_have_file(box: Box, target: Target) -> bool:
    """Tell whether a libkrun of TARGET can lay the configuration file over the root of BOX. Over a
    disk it cannot: init reads the file after it has mounted the disk (seen on 2.0-dev)."""
    overlay = functions()["krun_fs_add_overlay_file"]
    return isinstance(box.rootfs, DirectoryRoot) and lacks(overlay, target) is None


def _surely_has_file(target: Target) -> bool:
    """Tell whether every libkrun of TARGET can: for family 1 without a version some are older."""
    return target.family == 2 or target.version is not None


def _lowered(box: Box, target: Target, program: Step) -> Lowered:
    steps = (*BEFORE_PROGRAM, program, *AFTER_PROGRAM, machine.confine, machine.stop)
    return _completed(box, target, [one for step in steps for one in step(box, target)])


def _staged(box: Box, target: Target, because: Path) -> Lowered:
    """Return the operations by which the stage starts the program; BECAUSE is the key of BOX that
    asks for it."""
    steps = (*BEFORE_PROGRAM, process.on_the_command_line, *AFTER_PROGRAM)
    outer = stage.outer(box, target)
    operations = [stage.placed(one, box, because) for step in steps for one in step(outer, target)]
    operations += stage.orders(box, because)
    operations += [one for step in (stage.stop, machine.confine) for one in step(box, target)]
    return _completed(box, target, operations)


def _completed(box: Box, target: Target, operations: list[Operation]) -> Lowered:
    """Return OPERATIONS with what they demand of the host and what libkrun does by itself."""
    demands = [*conditions.lower(operations), *machine.architecture(box), *image.required(box)]
    operations = [*demands, *conditions.runtime(operations), *operations]
    calls = [(o.name, o.args) for o in operations if o.kind == "call"]
    for name in implied(target.era, calls):
        origin = box.origin(_ASKED_BY[name]) if name in _ASKED_BY else ()
        operations.append(Operation("implicit", name, origin))
    operations.append(Operation("call", "krun_start_enter"))
    return Lowered(operations, arguments.check(operations))
