"""The host steps that do something, in the plan's order between the calls."""

from __future__ import annotations

import os
import sys

from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.host.landlock import missing
from krunc_launcher.host.preflight import RLIMIT_NOFILE, runtime_folder
from krunc_launcher.vm.confine import confine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.resolve.operation import Folders, Operation


class Host:
    """What the steps of one launch leave for later calls: opened descriptors by name."""

    __slots__ = ("done", "folders", "opened")

    def __init__(self, done: list[Operation], folders: Folders) -> None:
        self.done = done
        self.folders = folders
        self.opened: dict[str, int] = {}


def act(operation: Operation, host: Host) -> None:
    """Do what the step says; conditions were checked before and do nothing here."""
    action = _ACTIONS.get(operation.name)
    if action is None:
        return
    try:
        action(operation.values, host)
    except OSError as error:
        said = f"{operation.name} failed: {why(error)} ({operation.origin})"
        raise LaunchError(said) from None


def _runtime(values: list[Any], host: Host) -> None:
    folder = host.folders.runtime
    os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    # Below /tmp somebody else may have made one of the two since they were checked.
    for problem in runtime_folder([], host.folders):
        raise LaunchError(problem)


def _nofile(values: list[Any], host: Host) -> None:
    limits = ffi.new("uint64_t[2]")
    failed = libc.getrlimit(RLIMIT_NOFILE, limits)
    limits[0] = limits[1]
    if failed or libc.setrlimit(RLIMIT_NOFILE, limits):
        why = os.strerror(ffi.errno).lower()
        sys.stderr.write(f"krunc: warning: RLIMIT_NOFILE stays as it is: {why}\n")


def _clear(values: list[Any], host: Host) -> None:
    from krunc_launcher.host.listeners import STATES, listener

    # Looked at once more: somebody may have come since the conditions were checked.
    state = listener(values[0], True)
    if state == "stale":
        os.unlink(values[0])
    elif state != "absent":
        raise LaunchError(f"{plain(values[0])}: {STATES[state]}; it is not removed")


def _open(values: list[Any], host: Host) -> None:
    path, name = values
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        host.opened[name] = os.open(path, flags, 0o600)
    except OSError as error:
        raise OSError(error.errno, f"{plain(path)}: {error.strerror}") from None


def _open_device(values: list[Any], host: Host) -> None:
    path, access, name = values
    flags = os.O_RDWR if access.c == "read-write" else os.O_RDONLY
    try:
        host.opened[name] = os.open(path, flags | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"{plain(path)}: {error.strerror}") from None


def _confine(values: list[Any], host: Host) -> None:
    why = missing(host.done)
    if not why:
        confine(host.done, host.folders)
    elif values[0].c == "required":
        raise LaunchError(f"the VM cannot be confined: {why}")
    else:
        sys.stderr.write(f"krunc: warning: the VM is not confined: {why}\n")


_ACTIONS: dict[str, Callable[[list[Any], Host], None]] = {
    "make_runtime_folder": _runtime,
    "raise_nofile": _nofile,
    "clear_stale_socket": _clear,
    "open_file": _open,
    "confine": _confine,
    "open_device": _open_device,
}
