"""The host paths and Unix sockets that a plan uses, for an engine that has to give them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.emit.ways import Secret
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, STORE
from krunc_compiler.plan.operation import Operation
from krunc_compiler.review.facts.storage import ROOT_TAG

_ROOTS = (ROOT_TAG, load("orders")["share"])
_OWN = (RUNTIME, LAUNCH, STORE)

Access = Literal["read", "read-write"]
# What a path is for the VM. `made` is emptied and written to; `demanded` is a condition alone.
Use = Literal[
    "root", "share", "disk", "kernel", "file", "content", "secret", "device", "made", "program",
    "demanded",
]  # fmt: skip


class HostPath(NamedTuple):
    """An absolute path of the host; `operation` is the first one that names it.

    `is_directory` tells what it is; None where the plan does not say.
    """

    path: str
    access: Access
    use: Use
    operation: int
    is_directory: bool | None = None


class Socket(NamedTuple):
    """A Unix socket of the host; `how` as in the table: connect, make, connect-and-make."""

    path: str
    how: str
    operation: int


def distinct(opened: list[HostPath]) -> tuple[HostPath, ...]:
    """Return the paths that are OPENED, each once, with the widest access. What is krunc's own on
    the host is none of them."""
    found: dict[str, HostPath] = {}
    for one in opened:
        if one.path.startswith(_OWN):
            continue
        known = found.setdefault(one.path, one)
        wider: Access = "read-write" if "read-write" in (known.access, one.access) else "read"
        directory = one.is_directory if known.is_directory is None else known.is_directory
        found[one.path] = known._replace(access=wider, is_directory=directory)
    return tuple(found.values())


def called(rows: list[Operation], secret: tuple[Secret, ...]) -> Iterator[HostPath]:
    """Yield the paths that calls use, and those of secrets."""
    for number, row in enumerate(rows):
        if row.kind != "call":
            continue
        for param, path in row.paths():
            if param.kind == "bytes":
                yield HostPath(path, "read", "content", number, False)
            elif param.kind == "host_path":
                how = api.opening(param, row.args)
                access: Access = "read" if how == "read" else "read-write"
                directory = {"directory": True, "file": False}.get(param.rules["target"])
                yield HostPath(path, access, _use(row, param, how), number, directory)
    for one in secret:
        if one.source == "from_file":
            yield HostPath(one.given, "read", "secret", one.operation, False)


def _use(row: Operation, param: api.Param, how: str) -> Use:
    if how == "make":
        return "made"
    if param.rules.get("means") == "kernel":
        return "kernel"
    match param.rules["target"]:
        case "disk":
            return "disk"
        case "directory":
            return "root" if row.args.get("tag", ROOT_TAG) in _ROOTS else "share"
        case _:
            return "file"


_STEPS: dict[str, tuple[str, Use]] = {
    "open_device": ("path", "device"),
    "open_file": ("path", "made"),
    "start_passt": ("program", "program"),
    "require_directory": ("path", "demanded"),
    "require_file": ("path", "demanded"),
}


def stepped(rows: list[Operation]) -> Iterator[HostPath]:
    """Yield the paths that a step opens or only demands."""
    for number, row in enumerate(rows):
        if row.kind == "step" and row.name in _STEPS:
            name, use = _STEPS[row.name]
            access: Access = "read-write" if use == "made" else row.args.get("access", "read")
            directory = True if row.name == "require_directory" else None
            yield HostPath(row.args[name], access, use, number, directory)


def sockets_of(rows: list[Operation]) -> Iterator[Socket]:
    """Yield the Unix sockets that calls use."""
    for number, row in enumerate(rows):
        for param, path in row.paths():
            if row.kind == "call" and param.kind == "socket_path":
                yield Socket(path, api.opening(param, row.args), number)


def joined(paths: Iterable[HostPath], base: str) -> tuple[HostPath, ...]:
    """Return PATHS as absolute ones; relative ones start at BASE."""
    return tuple(one._replace(path=_absolute(one.path, base)) for one in paths)


def based(socket: Socket, base: str) -> Socket:
    """Return SOCKET with an absolute path; a relative one starts at BASE."""
    return socket._replace(path=_absolute(socket.path, base))


def _absolute(path: str, base: str) -> str:
    if path.startswith(("/", *_OWN)):
        return path
    return posixpath.normpath(posixpath.join(base, path))


def relative_of(opened: Iterable[HostPath | Socket]) -> Iterator[tuple[str, int]]:
    """Yield the relative paths that are OPENED, each once, with the first that opens it."""
    first: dict[str, int] = {}
    for one in opened:
        first.setdefault(one.path, one.operation)
    for path, number in first.items():
        if not path.startswith(("/", *_OWN)):
            yield path, number
