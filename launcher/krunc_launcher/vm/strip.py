"""Takes from the VM's process what it has of its parents and a VM does not need: descriptors, the
environment, capabilities. Whatever the plan says: no box can ask for them."""

from __future__ import annotations

import sys
from sys import getrefcount

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import CAPABILITIES, ENVIRONMENTS, FLAGS, FUNCTIONS
from krunc_launcher.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from krunc_launcher.resolve.operation import Operation

# linux/capability.h. A file server that acts for the guest's users needs these: CHOWN,
# DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, SETFCAP. Not MKNOD, which virtiofsd has: a device
# that a guest makes in a share is the host's.
_FILES = (0, 1, 3, 4, 6, 7, 31)
_VERSION_3 = 0x20080522
_STAT_BYTES = 4096  # more than its 52 numbers and a name of 64 bytes take
_CAPBSET_DROP = 24  # linux/prctl.h


def close_descriptors(done: list[Operation], kept: Collection[int]) -> None:
    """Close all but standard streams, KEPT, and what the plan names."""
    named = {
        value
        for operation in done
        if operation.kind == "call"
        for rule, value in zip(FUNCTIONS[operation.name]["params"], operation.values, strict=True)
        if rule["kind"] == "fd" and type(value) is int
    }
    last = 2
    for descriptor in sorted(named | set(kept)):
        if descriptor > last:
            system.closerange(last + 1, descriptor)
            last = descriptor
    system.closerange(
        last + 1, system.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 1 << 20
    )


def forget_environment(done: list[Operation]) -> None:
    """Forget the environment, also where /proc/PID/environ shows it, but for what DONE needs."""
    names = {name for operation in done for name in _read(operation)}
    kept = {name: system.variable(name) for name in names}
    wipe()
    for name, text in kept.items():
        if text is not None:
            system.set_variable(name, text)


def _read(operation: Operation) -> list[str]:
    """Return the variables that libkrun reads for OPERATION."""
    rule = operation.rule
    if "environment" not in rule:
        return []
    for param, value in zip(rule["params"], operation.values, strict=True):
        bit = param.get("without_environment")
        if bit is not None and value.value & FLAGS[param["flags"]][bit][1]:
            return []
    names: list[str] = ENVIRONMENTS[rule["environment"]]
    return names


def _place() -> tuple[int, int]:
    """Tell where in memory this process has the environment that it was started with; (0, 0) if
    that cannot be told."""
    try:
        handle = system.open("/proc/self/stat", system.O_RDONLY | system.O_CLOEXEC)
    except OSError:
        return 0, 0  # not Linux, or without /proc, which the preflight refuses
    fields = system.read(handle, _STAT_BYTES).rpartition(b")")[2].split()
    system.close(handle)
    # Fields 50 and 51 of proc_pid_stat(5), env_start and env_end; the first two were cut off.
    return int(fields[47]), int(fields[48])


# Asked for before the VM's process is forked off, in which it is the same.
_START, _END = _place()


def wipe() -> None:
    """Forget the environment of this process, and overwrite all that its memory has of it: what the
    kernel has put there, and what Python has made of that."""
    for text in system.environ:
        system.unsetenv(text)
    texts = [*system.environ, *system.environ.values()]
    system.environ.clear()
    while texts:
        text = texts.pop()
        # Python keeps one of each single byte for everybody. A text that something else holds is
        # not of the environment alone.
        if len(text) > 1 and getrefcount(text) == _ALONE:
            ffi.memmove(ffi.from_buffer(text), bytes(len(text)), len(text))
    if 0 < _START < _END:
        ffi.memmove(ffi.cast("char *", _START), bytes(_END - _START), _END - _START)


# References to a text that only a variable holds: that and the argument of the question.
_ALONE = 2


def drop_capabilities(done: list[Operation]) -> None:
    """Drop every capability that serving files does not need; nothing where there is none."""
    if sys.platform != "linux":
        return
    head = ffi.new("uint32_t[2]", [_VERSION_3, 0])
    sets = ffi.new("uint32_t[6]")  # effective, permitted, inheritable; then their upper halves
    if libc.capget(head, sets):
        raise _failed("capget")
    held = sets[1] | sets[4] << 32
    if not held:
        return
    needed = {name for operation in done for name in operation.rule.get("capabilities", ())}
    kept = sum(1 << number for number in (*_FILES, *map(CAPABILITIES.__getitem__, needed)))
    for number in range(64):
        # It fails beyond the last one of this kernel, and for all without CAP_SETPCAP.
        if not kept >> number & 1 and libc.prctl(_CAPBSET_DROP, number, 0, 0, 0):
            break
    left = held & kept
    for place, half in ((0, left & 0xFFFFFFFF), (3, left >> 32)):
        sets[place], sets[place + 1], sets[place + 2] = half, half, 0
    if libc.capset(head, sets):
        raise _failed("capset")


def _failed(what: str) -> LaunchError:
    return LaunchError(
        f"capabilities cannot be dropped: {what}: {system.strerror(ffi.errno).lower()}"
    )
