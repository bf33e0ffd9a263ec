"""The calls of a plan, made one after the other; the last one enters the VM."""

from __future__ import annotations

import sys
from time import monotonic

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import LaunchError, asked_by, returned
from krunc_launcher.resolve.operation import (
    Content,
    Named,
    Opened,
    Variable,
    has_disks,
    made,
    meant,
)
from krunc_launcher.vm.notes import note
from krunc_launcher.vm.steps import Host, act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# What a return value means where libkrun's own number does not say it.
_ADVICE = {
    -2: "something it names is not there",
    -12: "the host has too little memory",
    -17: "it exists already",
    -19: "the device that it belongs to is not there",
    -22: "libkrun refuses the arguments, or cannot build the VM from them",
    -95: "this build of libkrun does not have the function, or not for this host's processor",
}

_MOST_SAID = 2000
# What the VM's process asks of libc, and a step of it. Not every system has all of them.
_FUNCTIONS = ("capget", "capset", "prctl")
_OF_A_STEP = {"raise_nofile": "setrlimit"}


def take(done: list[Operation]) -> None:
    """Import what the VM's process will need for DONE, and ask libc for it, before the fork: what
    is made after it is memory of each VM's process, and a confined one cannot read files."""
    names = {operation.name for operation in done}
    # cffi makes a function when it is first asked for.
    for function in (*_FUNCTIONS, *(_OF_A_STEP[name] for name in names if name in _OF_A_STEP)):
        getattr(libc, function, None)
    if "confine" in names:
        from krunc_launcher.vm import confine  # noqa: F401
    if "stop_on_sigterm" in names:
        from krunc_launcher.vm import sigterm  # noqa: F401
    if "lay_stage" in names:
        from krunc_launcher.vm import stage  # noqa: F401
    if has_disks(done):
        from krunc_launcher.host import disk_locks  # noqa: F401
    if made(done):
        from krunc_launcher.vm import outputs  # noqa: F401


def replay(
    library: Library,
    done: list[Operation],
    directories: Directories,
    notes: int,
    given: dict[str, int],
) -> None:
    """Do every operation; does not return when the VM runs. NOTES is the pipe that is told of each
    call before it is made, and of what krun_start_enter returned; GIVEN are descriptors that the
    process above has opened, by their names. Comes behind `take`. Raises LaunchError."""
    host = Host(library, done, directories)
    host.opened.update(given)
    if any(operation.name == "confine" for operation in done):
        from krunc_launcher.vm.confine import scratch

        scratch(done, directories)
    if made(done):
        from krunc_launcher.vm import outputs
    keep: list[Any] = []
    becomes_another = meant(done, "uid") is not None or meant(done, "gid") is not None
    if becomes_another:
        # Now, for a confined process cannot read the module's file.
        from krunc_launcher.vm.end_with_launcher import end_with_reader
    try:
        for operation in done:
            for path in made([operation]):
                # What libkrun opens itself, later, is kept from others until the end, too.
                handle = outputs.output(path, directories, notes, operation.origin)
                if operation.kind == "step":
                    host.opened[operation.argument("name")] = handle
            if operation.kind == "step":
                act(operation, host)
            elif operation.kind == "call" and operation.rule["role"] == "enter":
                if becomes_another:
                    # Not before: the thread has to be confined, too.
                    end_with_reader(notes)
                _enter(operation, host, notes)
            elif operation.kind == "call":
                note(notes, f"call {operation.name}")
                _call(operation, host, keep)
    except LaunchError:
        if host.context is not None:
            library.lib.krun_free_ctx(host.context)
        raise


def _enter(operation: Operation, host: Host, notes: int) -> None:
    """Enter the VM; comes back only when libkrun could not."""
    sys.stdout.flush()
    sys.stderr.flush()
    note(notes, f"enter {monotonic()}")
    result = getattr(host.library.lib, operation.name)(host.context)
    memory = meant(host.operations, "memory_mib") or 0
    note(notes, f"returned {result} {memory} {_last_error(host.library)}")


def _call(operation: Operation, host: Host, keep: list[Any]) -> None:
    """Make one call; raises LaunchError when libkrun refuses it and the plan does not take that as
    a warning."""
    rule = operation.rule
    args = [
        host.context if param["kind"] == "context" else _c(value, param["kind"], host, keep)
        for param, value in zip(rule["params"], operation.values, strict=True)
    ]
    result = getattr(host.library.lib, operation.name)(*args)
    if result < 0:
        said = _failed(operation, result)
        if not operation.warn:
            raise LaunchError(*said)
        sys.stderr.write(f"krunc: warning: {said[0]}\n")
    elif rule["role"] == "create":
        host.context = result


def _c(value: Any, kind: str, host: Host, keep: list[Any]) -> Any:
    """Return VALUE for C; KEEP holds what must stay in memory until the VM is entered."""
    if value is None:
        return ffi.NULL
    if isinstance(value, Named):
        return value.value
    if isinstance(value, Opened):
        return host.opened[value.name]
    if isinstance(value, str):
        keep.append(ffi.new("char[]", system.fsencode(value)))
        return keep[-1]
    if isinstance(value, Content):
        value = value.load()
        if kind == "length":
            return len(value)
    if isinstance(value, bytes):
        keep.append(ffi.new("uint8_t[]", value))
        return keep[-1]
    if isinstance(value, list):
        if kind == "u16s":
            keep.append(ffi.new("uint16_t[]", value))
            return keep[-1]
        texts = [
            f"{item.name}={item.text}" if isinstance(item, Variable) else item for item in value
        ]
        strings = [_c(text, "text", host, keep) for text in texts]
        keep.append(ffi.new("char *[]", [*strings, ffi.NULL]))
        return keep[-1]
    return value  # cffi checks the type and range of integers and booleans once more


def _failed(operation: Operation, result: int) -> tuple[str, ...]:
    from krunc_launcher.as_c import written

    first = f"{written(operation)} {returned(result)}{asked_by(operation.origin)}"
    return (first, _ADVICE[result]) if result in _ADVICE else (first,)


def _last_error(library: Library) -> str:
    ask = library.function("krun_get_last_error")
    text = ask() if ask is not None else ffi.NULL
    if text == ffi.NULL:
        return ""
    said: Any = ffi.string(text)
    # Nobody reads the notes before the end, and a pipe is soon full.
    return str(said.decode("utf-8", "replace"))[:_MOST_SAID]
