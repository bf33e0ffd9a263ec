"""What the host must have: every check of a plan, before the first libkrun call."""

from __future__ import annotations

import os
import stat

from krunc_launcher._rules import FUNCTIONS
from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from krunc_launcher.resolve import Done, Folders


def _confinement(operation: Done, done: list[Done]) -> Iterator[str]:
    if operation.name == "confine" and operation.values[0].c == "required":
        from krunc_launcher.confine import missing

        why = missing(done)
        if why:
            yield f"the VM cannot be confined: {why}; or write `confine: best-effort` in the box"


def preflight(done: list[Done], folders: Folders) -> list[str]:
    """What of DONE this host does not meet: a sentence each, with the key of the box."""
    problems = []
    for operation in done:
        if operation.name == "confine":
            sentences = list(_confinement(operation, done))
        elif operation.kind == "step" and operation.name in _CHECKS:
            sentences = list(_CHECKS[operation.name](operation.values, folders))
        elif operation.kind == "call":
            sentences = [
                *_descriptors(operation),
                *_contents(operation),
                *_kernel(operation, done),
                *_image(operation),
                *_memory(operation),
            ]
        else:
            continue
        problems += [f"{sentence} ({operation.origin})" for sentence in sentences]
    return problems


def _descriptors(operation: Done) -> Iterator[str]:
    for rule, value in zip(FUNCTIONS[operation.name]["params"], operation.values, strict=True):
        if rule["kind"] == "fd" and type(value) is int and value > 2:
            try:
                os.fstat(value)
            except OSError:
                yield f"descriptor {value} is not open; the program that launches has to open it"


def _contents(operation: Done) -> Iterator[str]:
    from krunc_launcher.resolve import Content

    for value in operation.values:
        if isinstance(value, Content):
            try:
                value.load()
            except OSError as error:
                yield f"{plain(value.path)} cannot be read: {_why(error)}"
            return  # the second one is its length


def _kernel(operation: Done, done: list[Done]) -> Iterator[str]:
    if operation.name == "krun_set_kernel":
        from krunc_launcher.kernel import unfit

        memory = next((o.values[2] for o in done if o.name == "krun_set_vm_config"), 0)
        yield from unfit(operation.values, memory, os.uname().machine)


def _image(operation: Done) -> Iterator[str]:
    """The format of a disk, which only newer calls name; the others take it as raw."""
    names = [rule["name"] for rule in FUNCTIONS[operation.name]["params"]]
    if "disk_path" not in names:
        return
    from krunc_launcher.images import unfit

    given = dict(zip(names, operation.values, strict=True))
    declared = given["disk_format"].c if "disk_format" in given else "KRUN_DISK_FORMAT_RAW"
    yield from unfit(given["disk_path"], declared.rpartition("_")[2].lower())


def _memory(operation: Done) -> Iterator[str]:
    if operation.name == "krun_set_vm_config":
        wanted = operation.values[2]
        has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        if wanted > has:
            yield (
                f"the VM wants {wanted} MiB of memory; this host has {has} MiB in all; write less "
                "under machine.memory"
            )


def _hypervisor(values: list[Any], folders: Folders) -> Iterator[str]:
    from krunc_launcher.probe import quick

    yield from quick()


def _folder(values: list[Any], folders: Folders) -> Iterator[str]:
    path, access = values
    yield from _kind(path, access.c, "folder", stat.S_ISDIR)


def _file(values: list[Any], folders: Folders) -> Iterator[str]:
    path, access = values
    yield from _kind(path, access.c, "file or block device", _is_image)


def _is_image(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _kind(path: str, access: str, kind: str, fits: Callable[[int], bool]) -> Iterator[str]:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        yield f"{plain(path)}: {_why(error)}; a {kind} is needed"
        return
    if not fits(mode):
        yield f"{plain(path)} is no {kind}"
        return
    wanted = os.R_OK | (os.W_OK if access == "read-write" else 0)
    if stat.S_ISDIR(mode):
        wanted |= os.X_OK
    if not os.access(path, wanted):
        need = "read" if access == "read" else "read and write"
        yield f"{plain(path)}: you (uid {os.geteuid()}) may not {need} it"


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _socket(values: list[Any], folders: Folders) -> Iterator[str]:
    path, kind = values
    state = listener(path, kind.c == "stream")
    if state != "served":
        yield (f"{plain(path)}: {STATES[state]}; start the network program first, or the VM hangs")


def _tap(values: list[Any], folders: Folders) -> Iterator[str]:
    from krunc_launcher.tap import missing

    yield from missing(values[0])


def _nested(values: list[Any], folders: Folders) -> Iterator[str]:
    from krunc_launcher.nested import unavailable

    yield from unavailable()


def _device(values: list[Any], folders: Folders) -> Iterator[str]:
    path, access, _ = values
    yield from _kind(path, access.c, "device", stat.S_ISCHR)


def _stale(values: list[Any], folders: Folders) -> Iterator[str]:
    (path,) = values
    state = listener(path, True)
    if state in ("served", "other", "type", "denied"):
        yield f"{plain(path)}: {STATES[state]}; libkrun makes this socket itself"
    elif state == "absent":
        yield from _parent(path, "socket", folders)


def _open_file(values: list[Any], folders: Folders) -> Iterator[str]:
    path, _ = values
    if os.path.lexists(path):
        # A link could lead the launcher to empty another file.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            yield f"{plain(path)} is not a regular file"
        elif not os.access(path, os.W_OK):
            yield f"{plain(path)}: you (uid {os.geteuid()}) may not write it"
    else:
        yield from _parent(path, "file", folders)


def _parent(path: str, what: str, folders: Folders) -> Iterator[str]:
    """Why PATH cannot be made in its folder. A missing runtime folder is made by a step."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        if parent != folders.runtime:
            yield f"{plain(parent)}: there is no such folder for the {what}"
    elif not os.access(parent, os.W_OK | os.X_OK):
        yield f"{plain(parent)}: you (uid {os.geteuid()}) may not make a {what} in it"


def runtime_folder(values: list[Any], folders: Folders) -> Iterator[str]:
    """Why the runtime folder, where it or its parent exists, is not this user's alone."""
    path = folders.runtime
    for folder in (os.path.dirname(path), path):
        try:
            status = os.lstat(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{plain(folder)}: {_why(error)}"
            return
        others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(status.st_mode):
            yield f"{plain(folder)} is no folder; choose another with --runtime-dir"
        elif status.st_uid not in (os.geteuid(), 0):
            yield f"{plain(folder)} belongs to uid {status.st_uid}; choose another: --runtime-dir"
        elif others:
            yield f"{plain(folder)} may be written by others; chmod 700 it, or use --runtime-dir"


STATES = {
    "served": "somebody serves this socket",
    "stale": "nobody serves this socket",
    "absent": "there is no such socket",
    "other": "this is not a socket",
    "type": "this is a socket of another type",
    "denied": "you may not connect to this socket",
}


def listener(path: str, stream: bool) -> str:
    """Whether a Unix socket is served, stale, absent, another kind of file, or out of reach."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return "denied"
    if not stat.S_ISSOCK(mode):
        return "other"
    from _socket import AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM
    from _socket import socket as Socket

    from krunc_launcher.listeners import kinds

    kind = SOCK_STREAM if stream else SOCK_DGRAM
    serving = kinds(path)
    if serving:
        return "served" if kind in serving else "type"
    # Nobody, or somebody in another network namespace.
    probe = Socket(AF_UNIX, kind | SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except OSError as error:
        import errno

        if error.errno == errno.ECONNREFUSED:
            return "stale"
        return {
            errno.EAGAIN: "served",  # its backlog is full
            errno.EPROTOTYPE: "type",
            errno.ENOENT: "absent",
        }.get(error.errno or 0, "denied")
    finally:
        probe.close()
    return "served"


_CHECKS: dict[str, Callable[[list[Any], Folders], Iterator[str]]] = {
    "require_hypervisor": _hypervisor,
    "require_folder": _folder,
    "require_file": _file,
    "require_socket": _socket,
    "make_runtime_folder": runtime_folder,
    "clear_stale_socket": _stale,
    "open_file": _open_file,
    "open_device": _device,
    "require_tap": _tap,
    "require_nested_virtualization": _nested,
}
