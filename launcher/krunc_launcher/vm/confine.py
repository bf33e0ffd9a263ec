"""Takes away from the VM's process whatever its plan does not name, before the VM is entered.

Landlock (Documentation/userspace-api/landlock.rst, ABI 2 of Linux 5.19 and newer): files and
directories only as the plan has them, from ABI 4 no TCP where the plan has no TSI, from ABI 6 no
abstract Unix sockets and no signals to other processes. Besides: no new privileges, and by seccomp
no system calls that libkrun does not make, no sockets that the plan has no use for, and no owner,
mode or attribute of a file is changed where the guest may write no directory. Connecting to a Unix
socket by its path is not Landlock's, and files that are open already stay open.
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import FILTERS, IMPLICIT, MEANT
from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.host.landlock import abi, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# Numbers that all architectures share (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# linux/seccomp.h; without the last, kernels before 5.16 slow the processor down for it.
_SET_FILTER, _ALL_THREADS, _WITHOUT_SLOWING = 1, 1, 4
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
_ALWAYS = (("/dev/kvm", "device"),)
# What each way to open a path takes, by the words of the table. All but executing lets the guest
# do what it likes in a directory.
_OPENS = {
    "read": _READ | _READ_DIR,
    "read-write": ~_EXECUTE,
    "device": _READ | _WRITE | _IOCTL,
    "make": _WRITE | _TRUNCATE,
}
_BESIDE = _MAKE_SOCK | _REMOVE_FILE
_MAKES_SOCKETS = ("make", "connect-and-make")
_HIJACKING = [row["name"] for row in IMPLICIT if "tsi" in row]


def scratch(done: list[Operation], directories: Directories) -> None:
    """Give libkrun a directory of its own for temporary files; call it before libkrun."""
    if any("temporary" in operation.rule for operation in done):
        directory = _scratch(directories)
        system.makedirs(directory, 0o700)
        system.set_variable("TMPDIR", directory)


def _scratch(directories: Directories) -> str:
    return system.join(directories.runtime, "tmp")


def confine(done: list[Operation], directories: Directories) -> None:
    """Confine this process to what DONE names, for good; raises LaunchError.

    The calling thread and all that it starts are confined, so call it before libkrun starts any.
    """
    version = abi()
    handled = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    tsi = any(map(hijacks, done))
    tcp = _BIND_TCP | _CONNECT_TCP if version >= 4 and not tsi else 0
    scope = _ABSTRACT | _SIGNAL if version >= 6 and not tsi else 0
    words = [handled, tcp, scope][: 1 if version < 4 else 2 if version < 6 else 3]
    ruleset = _ruleset(words)
    for path, rights in needed(done, directories):
        _allow(ruleset, path, rights & handled, directories)
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _failed("prctl(PR_SET_NO_NEW_PRIVS)")
    if call(_RESTRICT_SELF, ruleset, 0):
        raise _failed("landlock_restrict_self")
    system.close(ruleset)
    _filter(_sockets(done, tsi))
    if not directories.written:
        _filter("attributes")


def _filter(name: str) -> None:
    row = FILTERS[system.uname().machine]
    lines = ffi.new("uint8_t[]", row[name])
    # struct sock_fprog: the number of lines in 16 bits, then where they are.
    table = ffi.new("uint64_t[2]", [len(row[name]) // 8, int(ffi.cast("uintptr_t", lines))])
    if call(row["seccomp"], _SET_FILTER, _ALL_THREADS | _WITHOUT_SLOWING, table):
        raise _failed("seccomp")


def _sockets(done: list[Operation], tsi: bool) -> str:
    """Tell which sockets the calls of DONE have to make: all, those of Unix, or none."""
    if tsi or any("sockets" in operation.rule for operation in done):
        return "all"
    unix = any(
        rule["kind"] == "socket_path"
        for operation in done
        if operation.kind == "call"
        for rule, _, _ in operation.opens()
    )
    return "unix" if unix else "none"


def _ruleset(words: list[int]) -> int:
    attributes = ffi.new("uint64_t[]", words)
    ruleset = call(_CREATE_RULESET, attributes, 8 * len(words), 0)
    if ruleset < 0:
        raise _failed("landlock_create_ruleset")
    return ruleset


def _failed(what: str) -> LaunchError:
    return LaunchError(f"the VM cannot be confined: {what}: {system.strerror(ffi.errno).lower()}")


def _allow(ruleset: int, path: str, rights: int, directories: Directories) -> None:
    try:
        handle = directories.open(path, system.O_PATH)
    except FileNotFoundError:
        return  # it was checked; what has gone since cannot be opened either
    except OSError as error:
        raise LaunchError(f"{plain(path)}: {why(error)}") from None
    try:
        if not system.S_ISDIR(system.fstat(handle).st_mode):
            rights &= _ON_FILES
        else:
            rights &= ~_IOCTL  # of a device that somebody has put there
        rule = rights.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        pinned = ffi.new("char[]", rule)
        if rights and call(_ADD_RULE, ruleset, _PATH_BENEATH, pinned, 0):
            raise _failed(f"landlock_add_rule for {plain(path)}")
    finally:
        system.close(handle)


def hijacks(operation: Operation) -> bool:
    """Tell whether sockets of the guest become sockets of the host (TSI)."""
    if operation.kind == "implicit":
        return operation.name in _HIJACKING
    name = MEANT["tsi"].get(operation.name)
    return name is not None and operation.argument(name).value != 0


def needed(done: list[Operation], directories: Directories) -> Iterator[tuple[str, int]]:
    """Yield every path that the VM's process may open, with the rights it has there.

    What a condition demands is what the VM is given: each path that a call reads or writes has one.
    """
    for path, how in _ALWAYS:
        yield path, _OPENS[how]
    for operation in done:
        if operation.kind not in ("call", "step"):
            continue
        rule = operation.rule
        for path, how in rule.get("opens", {}).items():
            yield path, _OPENS[how]
        if "temporary" in rule:
            yield _scratch(directories), ~_EXECUTE
        for param, value in zip(rule["params"], operation.values, strict=True):
            if "admits" in param:
                yield value, _OPENS[operation.argument(param["admits"]).c]
        if operation.kind == "call":
            yield from _made(operation)


def _made(operation: Operation) -> Iterator[tuple[str, int]]:
    """Yield the files that libkrun makes for OPERATION, and the directories of its sockets."""
    for rule, path, how in operation.opens():
        if rule["kind"] == "socket_path":
            if how in _MAKES_SOCKETS:
                yield system.dirname(path), _BESIDE
        elif how == "make":
            yield path, _OPENS[how]
