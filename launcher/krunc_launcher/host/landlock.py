"""Whether this kernel can confine the VM's process, and what such confinement holds.

Landlock (Documentation/userspace-api/landlock.rst), ABI 2 of Linux 5.19 and newer; seccomp.
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import FILTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.resolve.operation import Operation


# A number that all architectures share (asm-generic/unistd.h).
_CREATE_RULESET = 444
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION of linux/landlock.h
# linux/landlock.h. Without REFER, which came with ABI 2, a guest could not move files.
_LEAST_ABI = 2
# linux/seccomp.h
_AVAILABLE = 2
_RETURN_ERROR = 0x00050000


def abi() -> int:
    """Return the Landlock ABI of this kernel; 0 when there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, call(_CREATE_RULESET, ffi.NULL, 0, _VERSION))


def held(version: int) -> str:
    """Tell what confinement by that ABI holds, for a reader."""
    more = ["files"]
    more += ["truncation"] if version >= 3 else []
    more += ["TCP"] if version >= 4 else []
    more += ["device ioctls"] if version >= 5 else []
    more += ["abstract sockets and signals"] if version >= 6 else []
    return ", ".join(more)


def call(number: int, *args: Any) -> int:
    """Tell what the system call NUMBER returns; ffi.errno has the error of a negative one."""
    words = [arg if isinstance(arg, ffi.CData) else ffi.cast("void *", arg) for arg in args]
    return int(libc.syscall(number, *words, *[ffi.NULL] * (5 - len(words))))


def unmet(operation: Operation, done: list[Operation]) -> Iterator[str]:
    """Tell why a confinement that DONE requires cannot be had."""
    if operation.argument("mode").c == "required" and (why := missing(done)):
        yield f"the VM cannot be confined: {why}; or write `confine: best-effort` in the box"


def missing(done: list[Operation]) -> str:
    """Tell why the VM of these operations cannot be confined here; empty when it can."""
    if _filtered():
        return (
            "a filter of system calls around the launcher ends any process that asks (SIGSYS); "
            "also allow @sandbox: SystemCallFilter= of the systemd unit"
        )
    found = abi()
    if found < _LEAST_ABI:
        return (
            f"this kernel has Landlock ABI {found}, krunc requires {_LEAST_ABI} (Linux 5.19)"
            if found
            else "this kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock)"
        )
    if not _filterable():
        return f"this kernel or processor ({system.uname().machine}) has no seccomp filter for it"
    unknown = next((o.name for o in done if "unknown_access" in o.rule), "")
    return f"the host access that {unknown} needs is not known" if unknown else ""


def _filtered() -> bool:
    """Tell whether a filter around this process would end it for what confinement takes: another
    one tries, where there is a filter at all."""
    try:
        with open("/proc/self/status", "rb") as file:
            if b"\nSeccomp:\t2" not in file.read():
                return False
    except OSError:
        return False  # not Linux, or without /proc, which the preflight refuses
    pid = system.fork()
    if not pid:
        system._exit((abi() + _filterable()) & 0)
    return system.WIFSIGNALED(system.waitpid(pid, 0)[1])


def _filterable() -> bool:
    row = FILTERS.get(system.uname().machine)
    action = ffi.new("uint32_t *", _RETURN_ERROR)
    return row is not None and not call(row["seccomp"], _AVAILABLE, 0, action)
