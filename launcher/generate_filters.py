"""Makes seccomp's filters of the table schema/krunc_schema/syscalls.json, when krunc is built."""

from __future__ import annotations

from typing import Any

# linux/bpf_common.h: a word at an offset of seccomp_data; jumps; the end
_LOAD, _EQUAL, _LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_X32 = 0x40000000  # asm/unistd.h: the bit of the calls of x86-64's other ABI
_NAMESPACES = 0x7E020000  # linux/sched.h: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
_UNIX = 1  # linux/socket.h


def filters(table: dict[str, Any]) -> dict[str, Any]:
    """seccomp's filters by machine, and by the sockets that may be made: all, unix or none."""
    return {
        machine: {
            "seccomp": row["seccomp"],
            **{sockets: _program(table, machine, sockets) for sockets in ("all", "unix", "none")},
        }
        for machine, row in table["machines"].items()
    }


def _program(table: dict[str, Any], machine: str, sockets: str) -> bytes:
    """A filter as struct sock_filter lines (Documentation/userspace-api/seccomp_filter.rst)."""
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
    denied = [numbers[column] for numbers in table["denied"].values()]
    denied = [number for number in denied if number is not None]
    lines += [_line(_EQUAL, number, len(denied) - i, 0) for i, number in enumerate(denied)]
    return b"".join([*lines, _line(_RETURN, _ALLOW), end[_EPERM]])


def _line(code: int, value: int, then: int = 0, other: int = 0) -> bytes:
    """One line; THEN and OTHER are how many lines a jump leaves out."""
    return code.to_bytes(2, "little") + bytes((then, other)) + value.to_bytes(4, "little")
