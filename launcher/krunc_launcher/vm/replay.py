"""The calls of a plan, made one after the other; the last one enters the VM."""

from __future__ import annotations

import os
import sys
from time import monotonic

from krunc_launcher._krun import ffi
from krunc_launcher._rules import FUNCTIONS
from krunc_launcher.errors import LaunchError, returned
from krunc_launcher.resolve.operation import Content, Named, Opened, Variable, meant
from krunc_launcher.vm.confine import scratch
from krunc_launcher.vm.sigterm import ask_on_sigterm
from krunc_launcher.vm.steps import Host, act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.resolve.operation import Folders, Operation

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


def replay(
    library: Library, done: list[Operation], folders: Folders, note: Callable[[str], None]
) -> None:
    """Do every operation; does not return when the VM runs. NOTE is told of each call before it is
    made, and of what krun_start_enter returned. Raises LaunchError."""
    host = Host(done, folders)
    if any(operation.name == "confine" for operation in done):
        scratch(done, folders)
    keep: list[Any] = []
    context: int | None = None
    for operation in done:
        if operation.kind == "step":
            try:
                if operation.name == "stop_on_sigterm":
                    _ask_on_sigterm(library, operation, context)
                act(operation, host)
            except LaunchError:
                if context is not None:
                    library.lib.krun_free_ctx(context)
                raise
        if operation.kind != "call":
            continue
        params = FUNCTIONS[operation.name]["params"]
        args = [
            context if rule["kind"] == "context" else _c(value, rule["kind"], host, keep)
            for rule, value in zip(params, operation.values, strict=True)
        ]
        role = FUNCTIONS[operation.name]["role"]
        if role == "enter":
            sys.stdout.flush()
            sys.stderr.flush()
            note(f"enter {monotonic()}")
        else:
            note(f"call {operation.name}")
        result = getattr(library.lib, operation.name)(*args)
        if role == "enter":
            memory = meant(done, "memory_mib") or 0
            note(f"returned {result} {memory} {_last_error(library)}")
            return
        if result < 0:
            said = _failed(operation, result)
            if operation.warn:
                sys.stderr.write(f"krunc: warning: {said[0]}\n")
                continue
            if context is not None:
                library.lib.krun_free_ctx(context)
            raise LaunchError(*said)
        if role == "create":
            context = result


def _ask_on_sigterm(library: Library, operation: Operation, context: int | None) -> None:
    # -EINVAL on all builds but those for macOS and EFI.
    eventfd = library.function("krun_get_shutdown_eventfd")
    found = eventfd(context) if eventfd is not None and context is not None else -1
    ask_on_sigterm(operation.argument("grace_s"), found)


def _c(value: Any, kind: str, host: Host, keep: list[Any]) -> Any:
    """VALUE for C; KEEP holds what must stay in memory until the VM is entered."""
    if value is None:
        return ffi.NULL
    if isinstance(value, Named):
        return value.value
    if isinstance(value, Opened):
        return host.opened[value.name]
    if isinstance(value, str):
        keep.append(ffi.new("char[]", os.fsencode(value)))
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
    from krunc_launcher.resolve.as_c import written

    first = f"{written(operation)} {returned(result)} ({operation.origin})"
    return (first, _ADVICE[result]) if result in _ADVICE else (first,)


def _last_error(library: Library) -> str:
    ask = library.function("krun_get_last_error")
    text = ask() if ask is not None else ffi.NULL
    if text == ffi.NULL:
        return ""
    said: Any = ffi.string(text)
    # Nobody reads the notes before the end, and a pipe is soon full.
    return str(said.decode("utf-8", "replace"))[:_MOST_SAID]
