"""Makes the seccomp filters of krunc_launcher/_rules.py from schema/krunc_schema/syscalls.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# linux/bpf_common.h: a word at an offset of seccomp_data; jumps; the end
_LOAD, _AND, _EQUAL, _LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _BETWEEN = 0, 4, 16, 8
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_X32 = 0x40000000  # asm/unistd.h: the bit of the calls of x86-64's other ABI
_NAMESPACES = 0x7E020000  # linux/sched.h: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
_UNIX = 1  # linux/socket.h
# asm-generic/ioctls.h: TIOCSTI types into a terminal, as TIOCLINUX pastes; TIOCSETD and TIOCCONS
# take what is written to it elsewhere.
_ON_TERMINALS = (0x5412, 0x541C, 0x5423, 0x541D)
# linux/stat.h: what kind of file is made
_KIND, _CHARACTERS, _BLOCKS = 0o170000, 0o020000, 0o060000


def filters(table: dict[str, Any]) -> dict[str, Any]:
    """seccomp's filters by machine, and by the sockets that may be made: all, unix or none. That of
    "attributes" comes on top where the guest may write no directory."""
    return {
        machine: {
            "seccomp": row["seccomp"],
            **{sockets: _program(table, machine, sockets) for sockets in ("all", "unix", "none")},
            "attributes": _attributes(table, machine),
        }
        for machine, row in table["machines"].items()
    }


def _program(table: dict[str, Any], machine: str, sockets: str) -> bytes:
    """Return a filter as struct sock_filter lines
    (Documentation/userspace-api/seccomp_filter.rst)."""
    column = list(table["machines"]).index(machine)
    special = {name: numbers[column] for name, numbers in table["by_argument"].items()}
    end = {error: _line(_RETURN, _ERROR | error) for error in (_EPERM, _EACCES, _ENOSYS)}
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, table["machines"][machine]["architecture"], 1, 0),
        end[_ENOSYS],
        _line(_LOAD, _NUMBER),
        _line(_LEAST, _X32, 0, 1),
        end[_ENOSYS],
        # C libraries make threads by clone then, whose flags can be seen.
        _line(_EQUAL, special["clone3"], 0, 1),
        end[_ENOSYS],
    ]
    for name in ("clone", "unshare"):
        lines += [
            _line(_EQUAL, special[name], 0, 4),
            _line(_LOAD, _FIRST),
            _line(_ANY_BIT, _NAMESPACES, 0, 1),
            end[_EPERM],
            _line(_RETURN, _ALLOW),
        ]
    lines += _devices(special["mknod"], 1, end[_EPERM])
    lines += _devices(special["mknodat"], 2, end[_EPERM])
    # Of a process that is named, which may be another: 0 is this one.
    lines += [
        _line(_EQUAL, special["prlimit64"], 0, 4),
        _line(_LOAD, _FIRST),
        _line(_EQUAL, 0, 1, 0),
        end[_EPERM],
        _line(_RETURN, _ALLOW),
        _line(_EQUAL, special["ioctl"], 0, len(_ON_TERMINALS) + 3),
        _line(_LOAD, _FIRST + _BETWEEN),
        *_among(_ON_TERMINALS),
        _line(_RETURN, _ALLOW),
        end[_EPERM],
    ]
    if sockets == "unix":
        lines += [
            _line(_EQUAL, special["socket"], 0, 4),
            _line(_LOAD, _FIRST),
            _line(_EQUAL, _UNIX, 1, 0),
            end[_EACCES],
            _line(_RETURN, _ALLOW),
        ]
    elif sockets == "none":
        lines += [_line(_EQUAL, special["socket"], 0, 1), end[_EACCES]]
    lines += _among(_numbers(table["denied"], column))
    return b"".join([*lines, _line(_RETURN, _ALLOW), end[_EPERM]])


def _attributes(table: dict[str, Any], machine: str) -> bytes:
    """Return the filter that lets nobody change what stands beside the content of a file. It is
    never alone: the other one refuses the calls of another architecture."""
    column = list(table["machines"]).index(machine)
    return b"".join(
        [
            _line(_LOAD, _NUMBER),
            *_among(_numbers(table["attributes"], column)),
            _line(_RETURN, _ALLOW),
            _line(_RETURN, _ERROR | _EPERM),
        ]
    )


def _numbers(calls: dict[str, list[int | None]], column: int) -> list[int]:
    return [found for numbers in calls.values() if (found := numbers[column]) is not None]


def _among(values: Sequence[int]) -> list[bytes]:
    """Lines that go on behind the next line if what was loaded is one of VALUES, else with it."""
    return [_line(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]


def _devices(number: int | None, mode: int, refuse: bytes) -> list[bytes]:
    """Lines that let the call NUMBER make no device. MODE is the place of that argument; behind it
    is which device. 0 is none: overlayfs marks with it what is deleted."""
    if number is None:
        return []
    return [
        _line(_EQUAL, number, 0, 8),
        _line(_LOAD, _FIRST + mode * _BETWEEN),
        _line(_AND, _KIND),
        _line(_EQUAL, _BLOCKS, 3, 0),
        _line(_EQUAL, _CHARACTERS, 0, 3),
        _line(_LOAD, _FIRST + (mode + 1) * _BETWEEN),
        _line(_EQUAL, 0, 1, 0),
        refuse,
        _line(_RETURN, _ALLOW),
    ]


def _line(code: int, value: int, then: int = 0, other: int = 0) -> bytes:
    """Return one line; THEN and OTHER are how many lines a jump leaves out."""
    return code.to_bytes(2, "little") + bytes((then, other)) + value.to_bytes(4, "little")
