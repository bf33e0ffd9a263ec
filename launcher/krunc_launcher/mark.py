"""Which file of the host libkrun opens when the guest starts its program."""

from __future__ import annotations

import os
import sys

from krunc_launcher._krun import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.resolve import Done

_OPENAT2 = 437  # asm-generic/unistd.h, Linux 5.6
_IN_ROOT = 0x10  # RESOLVE_IN_ROOT of linux/openat2.h
_AT_FDCWD = -100
_ROOT_TAG = "/dev/root"
_CONFIGURATION = ".krun_config.json"
# What takes the place of libkrun's init and kernel may start the program in its own way.
_OTHER_WAYS = (
    "krun_set_kernel",
    "krun_set_firmware",
    "krun_disable_implicit_init",
    "krun_fs_add_overlay_dir",
)


def program_file(plan: dict[str, Any], done: list[Done]) -> str:
    """The file of the guest's program on the host; empty where it cannot be told.

    It cannot for a root on a disk, a program that another thing than libkrun's init starts or that
    is looked for in PATH, and files that an overlay may hide.
    """
    program = root = ""
    for row, operation in zip(plan["operations"], done, strict=True):
        if operation.name in _OTHER_WAYS or sys.platform != "linux":
            return ""
        args = row.get("args", {})
        if operation.name == "krun_fs_add_overlay_file":
            if args["path"] != _CONFIGURATION:
                return ""
            program = args["data"]["process"]["args"][0]
        elif operation.name == "krun_set_exec":
            program = args["exec_path"]
        elif operation.name == "krun_set_root":
            root = operation.values[1]
        elif operation.kind == "call" and args.get("tag") == _ROOT_TAG:
            root = operation.values[2]
    if not root or not program.startswith("/"):
        return ""
    return _within(root, program)


def _within(root: str, program: str) -> str:
    """PROGRAM below ROOT, where links lead as they do for the guest."""
    libc: Any = ffi.dlopen(None)
    try:
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    how = ffi.new("uint64_t[3]", [os.O_PATH | os.O_CLOEXEC, 0, _IN_ROOT])
    path = ffi.new("char[]", os.fsencode(program))
    found = libc.syscall(
        _OPENAT2, ffi.cast("long", folder), path, how, ffi.cast("long", ffi.sizeof(how))
    )
    return f"/proc/self/fd/{found}" if found >= 0 else ""
