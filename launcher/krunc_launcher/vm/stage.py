"""The directory of the stage: what the VM with it has as its root, made for one launch alone."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._stage_rules import STAGE
from krunc_launcher.errors import LaunchError
from krunc_launcher.resolve.operation import encoded, meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.resolve.operation import Operation

# What libkrun's init mounts, and where the stage mounts what becomes the box's root.
_EMPTY = ("dev", "proc", "sys", "tmp", "m")
_PROCESSORS = {"arm64": "aarch64"}  # as macOS calls it


def lay(directory: str, done: list[Operation]) -> None:
    """Make the directory DIRECTORY with the stage and the orders in DONE; raises OSError, and
    LaunchError where there is no stage for this processor."""
    machine = system.uname().machine
    machine = _PROCESSORS.get(machine, machine)
    stage = _program(machine)
    system.mkdir(directory, 0o700)
    for name in _EMPTY:
        system.mkdir(f"{directory}/{name}", 0o755)
    program, orders = STAGE["program"]
    _write(directory + program, stage, 0o700)
    _write(directory + orders, encoded(done), 0o600)
    uid = meant(done, "uid")
    gid = None if uid is None else meant(done, "gid")
    if uid is not None and gid is not None:
        launch = system.dirname(directory)
        socket = system.join(launch, STAGE["socket"].rpartition(":")[2])
        # From the inside outwards, and no link is followed: until the last of them nobody of this
        # user can change a name in it, and so have another file given to it.
        for path in (directory + orders, directory + program, directory, socket, launch):
            system.chown(path, uid, gid, follow_symlinks=False)


def _program(machine: str) -> bytes:
    """Return the stage for a processor; raises LaunchError where there is none."""
    for package in sys.modules["krunc_launcher"].__path__:
        try:
            # Python's own open takes as long as all that is written here.
            handle = system.open(f"{package}/stage/{machine}", system.O_RDONLY | system.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            return system.read(handle, system.fstat(handle).st_size)
        finally:
            system.close(handle)
    raise LaunchError(f"this krunc has no stage for the processor {machine}")


def _write(path: str, data: bytes, mode: int) -> None:
    handle = system.open(
        path, system.O_WRONLY | system.O_CREAT | system.O_EXCL | system.O_CLOEXEC, mode
    )
    try:
        system.write_all(handle, data)
    finally:
        system.close(handle)
