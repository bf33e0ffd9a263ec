"""Takes away from the VM's process whatever its plan does not name, before the VM is entered.

Landlock (Documentation/userspace-api/landlock.rst, ABI 2 of Linux 5.19 and newer): files and
folders only as the plan has them, from ABI 4 no TCP where the plan has no TSI, from ABI 6 no
abstract Unix sockets and no signals to other processes. Besides: no new privileges, and by seccomp
no system calls that libkrun does not make, no sockets that the plan has no use for. Connecting to a
Unix socket by its path is not Landlock's, and files that are open already stay open.
"""

from __future__ import annotations

import os
import stat
import sys

from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import FILTERS, FUNCTIONS
from krunc_launcher.errors import LaunchError, plain
from krunc_launcher.host.landlock import abi, call
from krunc_launcher.resolve.operation import Named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from krunc_launcher.resolve.operation import Folders, Operation

# Numbers that all architectures share (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# linux/seccomp.h; without the second, kernels before 5.16 slow the processor down for it.
_SET_FILTER, _WITHOUT_SLOWING = 1, 4
# linux/landlock.h
_WRITE, _READ, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_SOCK = 1 << 5, 1 << 9
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT, _SIGNAL = 1 << 0, 1 << 1
# By ABI: every right there is, of which a rule gives some back.
_RIGHTS = {2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_ON_FILES = _READ | _WRITE | _TRUNCATE | _IOCTL
_EXECUTE = 1 << 0
# What libkrun opens whatever the plan says.
_ALWAYS = (("/dev/kvm", _READ | _WRITE | _IOCTL),)


def scratch(done: list[Operation], folders: Folders) -> None:
    """Give libkrun a folder of its own for temporary files; call it before libkrun."""
    if any(o.name in _TEMPORARY for o in done):
        folder = _scratch(folders)
        os.makedirs(folder, 0o700, exist_ok=True)
        os.environ["TMPDIR"] = folder


# The first makes an empty root there (libkrun 1.15 to 1.18), the second binds a socket there.
_TEMPORARY = ("krun_set_root_disk_remount", "krun_add_net_unixgram")


def _scratch(folders: Folders) -> str:
    return os.path.join(folders.runtime, "tmp")


def confine(done: list[Operation], folders: Folders) -> None:
    """Confine this process to what DONE names, for good; raises LaunchError.

    The calling thread and all that it starts are confined, so call it before libkrun starts any.
    """
    version = abi()
    handled = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    calls = {o.name for o in done if o.kind == "call"}
    implicit = {o.name for o in done if o.kind == "implicit"}
    tsi = "vsock_with_tsi" in implicit or any(map(_hijacks, done))
    tcp = _BIND_TCP | _CONNECT_TCP if version >= 4 and not tsi else 0
    scope = _ABSTRACT | _SIGNAL if version >= 6 and not tsi else 0
    words = [handled, tcp, scope][: 1 if version < 4 else 2 if version < 6 else 3]
    ruleset = _made(words)
    for path, rights in _needed(done, folders, calls):
        _allow(ruleset, path, rights & handled)
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _failed("prctl(PR_SET_NO_NEW_PRIVS)")
    if call(_RESTRICT_SELF, ruleset, 0):
        raise _failed("landlock_restrict_self")
    os.close(ruleset)
    _filter("all" if tsi or "krun_add_net_tap" in calls else "unix" if _connects(done) else "none")


def _filter(sockets: str) -> None:
    row = FILTERS[os.uname().machine]
    lines = ffi.new("uint8_t[]", row[sockets])
    # struct sock_fprog: the number of lines in 16 bits, then where they are.
    table = ffi.new("uint64_t[2]", [len(row[sockets]) // 8, int(ffi.cast("uintptr_t", lines))])
    if call(row["seccomp"], _SET_FILTER, _WITHOUT_SLOWING, table):
        raise _failed("seccomp")


def _connects(done: list[Operation]) -> bool:
    """Whether a Unix socket of the plan has to be made or connected to."""
    return any(
        rule["kind"] == "socket_path" and value is not None
        for operation in done
        if operation.kind == "call"
        for rule, value in zip(FUNCTIONS[operation.name]["params"], operation.values, strict=True)
    )


def _made(words: list[int]) -> int:
    attributes = ffi.new("uint64_t[]", words)
    ruleset = call(_CREATE_RULESET, attributes, 8 * len(words), 0)
    if ruleset < 0:
        raise _failed("landlock_create_ruleset")
    return ruleset


def _failed(what: str) -> LaunchError:
    return LaunchError(f"the VM cannot be confined: {what}: {os.strerror(ffi.errno).lower()}")


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # it was checked; what has gone since cannot be opened either
    except OSError as error:
        raise LaunchError(f"{plain(path)}: {error.strerror}") from None
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _ON_FILES
        rule = rights.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        pinned = ffi.new("char[]", rule)
        if rights and call(_ADD_RULE, ruleset, _PATH_BENEATH, pinned, 0):
            raise _failed(f"landlock_add_rule for {plain(path)}")
    finally:
        os.close(handle)


def _hijacks(operation: Operation) -> bool:
    return operation.name == "krun_add_vsock" and operation.values[1].value != 0


def _needed(done: list[Operation], folders: Folders, calls: set[str]) -> Iterator[tuple[str, int]]:
    """Every path that the VM's process may open, with the rights it has there."""
    yield from _ALWAYS
    if not calls.isdisjoint(_TEMPORARY):
        yield _scratch(folders), ~_EXECUTE
    for operation in done:
        if operation.kind == "step":
            named = _STEPS.get(operation.name)
        else:
            named = _CALLS.get(operation.name)
        if named is not None:
            yield from named(operation.values)


def _access(values: list[Any]) -> Iterator[tuple[str, int]]:
    """What a precondition demands is what the VM is given: reading, or all but executing."""
    path, access = values
    assert isinstance(access, Named)
    yield path, _READ | _READ_DIR if access.c == "read" else ~_EXECUTE


def _beside(place: int) -> Callable[[list[Any]], Iterator[tuple[str, int]]]:
    """The folder of a socket that libkrun makes."""

    def named(values: list[Any]) -> Iterator[tuple[str, int]]:
        if values[place] is not None:
            yield os.path.dirname(values[place]), _MAKE_SOCK | _REMOVE_FILE

    return named


def _listens(values: list[Any]) -> Iterator[tuple[str, int]]:
    if values[3]:
        yield from _beside(2)(values)


def _console(values: list[Any]) -> Iterator[tuple[str, int]]:
    # It has to be there for a rule; libkrun empties it.
    os.close(os.open(values[1], os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    yield values[1], _WRITE | _TRUNCATE


def _tun(values: list[Any]) -> Iterator[tuple[str, int]]:
    yield "/dev/net/tun", _READ | _WRITE | _IOCTL


_STEPS: dict[str, Callable[[list[Any]], Iterator[tuple[str, int]]]] = {
    "require_folder": _access,
    "require_file": _access,
}
_CALLS: dict[str, Callable[[list[Any]], Iterator[tuple[str, int]]]] = {
    "krun_add_vsock_port2": _listens,
    "krun_add_net_unixgram": _beside(1),
    "krun_set_control_socket": _beside(1),
    "krun_set_console_output": _console,
    "krun_add_net_tap": _tun,
}
