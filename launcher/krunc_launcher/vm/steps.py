"""The host steps that do something, in the plan's order between the calls."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import LaunchError, asked_by, plain, why
from krunc_launcher.host.preflight import RLIMIT_NOFILE
from krunc_launcher.host.runtime import runtime_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation


class Host:
    """What the operations of one launch leave for later ones: libkrun's context, and opened
    descriptors by name."""

    __slots__ = ("context", "directories", "library", "opened", "operations")

    def __init__(
        self, library: Library, operations: list[Operation], directories: Directories
    ) -> None:
        self.library = library
        self.operations = operations
        self.directories = directories
        self.context: int | None = None
        self.opened: dict[str, int] = {}


def act(operation: Operation, host: Host) -> None:
    """Do what the step says; conditions were checked before and do nothing here."""
    action = _ACTIONS.get(operation.name)
    if action is None:
        return
    try:
        action(operation, host)
    except OSError as error:
        raise LaunchError(
            f"{operation.name} failed: {why(error)}{asked_by(operation.origin)}"
        ) from None


def _runtime(operation: Operation, host: Host) -> None:
    directory = host.directories.runtime
    if system.lexists(host.directories.launch):
        return  # with the stage that is done, or there were no directory of this launch in it
    system.makedirs(system.dirname(directory), 0o700)
    if not system.isdir(directory):
        system.mkdir(directory, 0o700)
    # Below /tmp somebody else may have made one of the two since they were checked.
    for problem in runtime_directory(host.directories):
        raise LaunchError(problem)


def _nofile(operation: Operation, host: Host) -> None:
    limits = ffi.new("uint64_t[2]")
    failed = libc.getrlimit(RLIMIT_NOFILE, limits)
    limits[0] = limits[1]
    if failed or libc.setrlimit(RLIMIT_NOFILE, limits):
        said = system.strerror(ffi.errno).lower()
        sys.stderr.write(f"krunc: warning: RLIMIT_NOFILE stays unchanged: {said}\n")


def _clear(operation: Operation, host: Host) -> None:
    from krunc_launcher.host.listeners import STATES, listener

    path = operation.argument("path")
    # Looked at once more: somebody may have come since the conditions were checked.
    state = listener(path, True, host.directories)
    if state == "stale":
        directory = host.directories.open(
            system.dirname(path), system.O_RDONLY | system.O_DIRECTORY
        )
        system.unlink(system.basename(path), dir_fd=directory)
        system.close(directory)
    elif state != "absent":
        raise LaunchError(f"{plain(path)}: {STATES[state]}; it is not removed")


def _open_device(operation: Operation, host: Host) -> None:
    path, name = operation.argument("path"), operation.argument("name")
    flags = system.O_RDWR if operation.argument("access").c == "read-write" else system.O_RDONLY
    try:
        host.opened[name] = host.directories.open(path, flags | system.O_NOCTTY)
    except OSError as error:
        raise OSError(error.errno, f"{plain(path)}: {error.strerror}") from None


def _confine(operation: Operation, host: Host) -> None:
    from krunc_launcher.host.landlock import missing
    from krunc_launcher.vm.confine import confine

    lacking = missing(host.operations)
    threads = 0 if lacking else len(system.listdir("/proc/self/task")) - 1
    if threads:
        # Landlock holds the calling thread, and those that it starts from then on.
        said = f"wholly confined: libkrun has started threads before ({threads})"
    else:
        said = f"confined: {lacking}"
    if (lacking or threads) and operation.argument("mode").c == "required":
        raise LaunchError(f"the VM cannot be {said}")
    if lacking or threads:
        sys.stderr.write(f"krunc: warning: the VM is not {said}\n")
    if not lacking:
        confine(host.operations, host.directories)


def _stop_on_sigterm(operation: Operation, host: Host) -> None:
    from krunc_launcher.vm.sigterm import ask_on_sigterm

    # -EINVAL on all builds but those for macOS and EFI.
    ask = host.library.function("krun_get_shutdown_eventfd")
    eventfd = ask(host.context) if ask is not None and host.context is not None else -1
    ask_on_sigterm(operation.argument("grace_s"), eventfd)


def _lay_stage(operation: Operation, host: Host) -> None:
    from krunc_launcher.vm.stage import lay

    lay(operation.argument("path"), host.operations)


def _remember(operation: Operation, host: Host) -> None:
    if host.directories.hashed:
        from krunc_launcher.vm.store import remember

        remember(host.directories)


_ACTIONS: dict[str, Callable[[Operation, Host], None]] = {
    "make_runtime_directory": _runtime,
    "raise_nofile": _nofile,
    "clear_stale_socket": _clear,
    "confine": _confine,
    "open_device": _open_device,
    "stop_on_sigterm": _stop_on_sigterm,
    "lay_stage": _lay_stage,
    "require_image": _remember,
}
