"""What the host must have: every check of a plan, before the first libkrun call."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import DEVICES, LIMITS, MEANT, OF_SOME, OPENING
from krunc_launcher.errors import asked_by, plain, why
from krunc_launcher.host.files import (
    no_place,
    not_a_device,
    not_a_directory,
    not_a_file,
    not_to_be_opened,
    unwritable,
)
from krunc_launcher.host.kvm import closed_to, quick
from krunc_launcher.host.root import overwritten
from krunc_launcher.host.runtime import closed, exposed, runtime_directory
from krunc_launcher.resolve.operation import Content, made, meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation


def preflight(done: list[Operation], directories: Directories) -> list[str]:
    """Tell what of DONE this host does not meet: a sentence each, with the key of the box."""
    problems = [*exposed(directories), *overwritten(done, directories)]
    devices = 0
    if sys.platform == "linux" and not system.exists("/proc/self/fd"):
        problems.append("/proc is not mounted; libkrun opens the files of shares through it")
    for operation in done:
        if operation.name in DEVICES:
            devices += DEVICES[operation.name]
        if operation.name == "confine":
            from krunc_launcher.host.landlock import unmet

            sentences = list(unmet(operation, done))
        elif operation.kind == "step" and operation.name in _CHECKS:
            sentences = list(_CHECKS[operation.name](operation, directories))
        elif operation.kind == "call":
            sentences = [*_arguments(operation), *_contents(operation)]
            if operation.name in _LOOKED_AT:
                sentences += [
                    *_kernel(operation, done, directories),
                    *_image(operation, directories),
                    *_machine(operation),
                    *_elsewhere(operation, done, directories),
                ]
        else:
            continue
        problems += [f"{sentence}{asked_by(operation.origin)}" for sentence in sentences]
    if devices > LIMITS["virtio_devices_anywhere"]:
        from krunc_launcher.host.architecture import too_many_devices

        problems += too_many_devices(devices, done)
    return problems


def _arguments(operation: Operation) -> Iterator[str]:
    """Yield descriptors that are not open, and ports that are taken."""
    for rule, value in zip(operation.rule["params"], operation.values, strict=True):
        if rule["kind"] == "fd" and type(value) is int and value > 2:
            try:
                # What the launcher opened itself is closed for programs that it would start.
                given = system.get_inheritable(value)
            except OSError:
                given = False
            if not given:
                yield f"file descriptor {value} is not open; the launching program has to open it"
        elif rule["kind"] == "port_map" and value:
            from krunc_launcher.host.ports import taken

            yield from taken(value)


def _contents(operation: Operation) -> Iterator[str]:
    for value in operation.values:
        if isinstance(value, Content):
            try:
                value.load()
            except OSError as error:
                yield f"{plain(value.path)} cannot be read: {why(error)}"
            return  # the second one is its length


def _kernel(operation: Operation, done: list[Operation], directories: Directories) -> Iterator[str]:
    if operation.name in MEANT["kernel"]:
        from krunc_launcher.host.kernel import unfit

        yield from unfit(
            operation, meant(done, "memory_mib") or 0, system.uname().machine, directories
        )


def _image(operation: Operation, directories: Directories) -> Iterator[str]:
    """Yield the format of a disk, which only newer calls name; the others take it as raw."""
    for rule, path, _ in operation.opens():
        if rule.get("target") == "disk":
            from krunc_launcher.host.images import unfit

            rules = zip(operation.rule["params"], operation.values, strict=True)
            said = [value.c for one, value in rules if one.get("enum") == "disk_format"]
            declared = said[0].rpartition("_")[2].lower() if said else "raw"
            yield from unfit(path, declared, directories)


def _machine(operation: Operation) -> Iterator[str]:
    if operation.name in MEANT["memory_mib"]:
        cpus = meant([operation], "vcpus") or 0
        wanted = meant([operation], "memory_mib")
        if cpus > LIMITS["vcpus_anywhere"]:
            from krunc_launcher.host.architecture import too_many_vcpus

            yield from too_many_vcpus(cpus)
        has = system.sysconf("SC_PAGE_SIZE") * system.sysconf("SC_PHYS_PAGES") >> 20
        if wanted > has:
            yield (
                f"the VM wants {wanted} MiB of memory; this host has {has} MiB in all; write less "
                "under machine.memory"
            )


def _elsewhere(
    operation: Operation, done: list[Operation], directories: Directories
) -> Iterator[str]:
    """Yield what is wrong by conditions that few plans have."""
    if operation.name in OF_SOME:
        from krunc_launcher.host.architecture import alone

        yield from alone(operation)
    if operation.name in MEANT["uid"]:
        group = meant(done, "gid")
        group = system.getegid() if group is None else group
        yield from closed_to(meant([operation], "uid"), group)
        if any(one.kind == "order" for one in done):
            yield from closed(directories.runtime, meant([operation], "uid"), group)
    for path in made([operation]):
        yield from unwritable(path, directories)
    # Nobody but this launch has its own directory.
    own = f"{directories.launch}/"
    if any(
        rule["kind"] == "socket_path" and not path.startswith(own)
        for rule, path, _ in operation.opens()
    ):
        from krunc_launcher.host.listeners import replaceable as can_be_replaced

        yield from can_be_replaced(operation, directories)


def _files(operation: Operation, directories: Directories) -> Iterator[str]:
    limits = ffi.new("uint64_t[2]")
    failed, hard = libc.getrlimit(RLIMIT_NOFILE, limits), limits[1]
    if not failed and hard < _LEAST_FILES:
        yield (
            f"the hard open file limit is {hard}; libkrun needs {_LEAST_FILES}, and one more "
            "for each file that the guest knows: ulimit -Hn raises it, or LimitNOFILE= of the unit"
        )


def _hypervisor(operation: Operation, directories: Directories) -> Iterator[str]:
    yield from quick()


def _socket(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.listeners import STATES, listener

    path = operation.argument("path")
    state = listener(path, operation.argument("type").c == "stream", directories)
    if state != "served":
        yield (f"{plain(path)}: {STATES[state]}; start the network backend first, or the VM hangs")


def _tap(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.tap import missing

    yield from missing(operation.argument("name"))


def _architecture(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.architecture import other

    yield from other(operation)


def _of_the_store(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.store import unfit

    yield from unfit(operation, directories)


def _passt(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.passt import unfit

    yield from unfit(operation, directories)


def _nested(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.nested import unavailable

    yield from unavailable()


def _stale(operation: Operation, directories: Directories) -> Iterator[str]:
    from krunc_launcher.host.listeners import STATES, listener

    path = operation.argument("path")
    state = listener(path, True, directories)
    if state in ("served", "other", "type", "denied"):
        yield f"{plain(path)}: {STATES[state]}; libkrun makes this socket itself"
    elif state == "absent":
        yield from no_place(path, "socket", directories)


# Seen: one vCPU with a directory as root takes 90 descriptors.
_LEAST_FILES = 256
# asm-generic/resource.h of Linux, on every processor that libkrun runs on; sys/resource.h of macOS.
RLIMIT_NOFILE = 7 if sys.platform == "linux" else 8
# The calls that more than their arguments' kinds is asked of.
_LOOKED_AT = {*OPENING, *OF_SOME, *MEANT["kernel"], *MEANT["memory_mib"], *MEANT["uid"]}
_CHECKS: dict[str, Callable[[Operation, Directories], Iterator[str]]] = {
    "require_hypervisor": _hypervisor,
    "require_architecture": _architecture,
    "require_directory": not_a_directory,
    "require_file": not_a_file,
    "require_image": _of_the_store,
    "require_socket": _socket,
    "make_runtime_directory": lambda _, directories: runtime_directory(directories),
    "clear_stale_socket": _stale,
    "open_file": not_to_be_opened,
    "open_device": not_a_device,
    "require_tap": _tap,
    "require_nested_virtualization": _nested,
    "raise_nofile": _files,
    "start_passt": _passt,
}
