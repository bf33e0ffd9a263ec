"""Host steps: what the launcher itself opens, makes and removes."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import THREADS, Fact, Reach, Row
from krunc_compiler.review.facts import network
from krunc_compiler.review.facts.storage import access, same
from krunc_compiler.review.facts.streams import PASST
from krunc_compiler.review.words import word


def file(row: Row) -> Iterator[Fact]:
    """Yield a file that is emptied, for a later call."""
    path, name = row.args["path"], row.args["name"]
    kind, reach = access("file", path, False)
    yield row.fact(kind, ("opened", name), f"file {word(path)} ({word(name)})", *reach)


def device(row: Row) -> Iterator[Fact]:
    """Yield a device or terminal that is opened, for a later call."""
    path, name = row.args["path"], row.args["name"]
    read_only = row.args["access"] == "read"
    reach = [Reach("device", "read", same(path))]
    if not read_only:
        reach.append(Reach("device", "write", same(path)))
    mode = "read" if read_only else "read-write"
    yield row.fact("device", ("opened", name), f"{word(path)} ({word(name)}, {mode})", *reach)


def opened(row: Ordered) -> dict[str, str]:
    """Tell what a step opens, by the name that later calls use."""
    if "program" in row.args:
        return {str(row.args.get("name")): PASST}
    if "name" not in row.args or "path" not in row.args:
        return {}
    what = "the device" if "access" in row.args else "the file"
    return {row.args["name"]: f"{what} {word(row.args['path'])}"}


def program(row: Row) -> Iterator[Fact]:
    """Yield the passt that is started beside the VM."""
    path = row.args["program"]
    text = f"starts {word(path)} beside the VM, whose network it is"
    yield row.fact("launcher", "passt", text, Reach("launch", "program", same(path)))
    yield from network.started(row)


def runtime_directory(row: Row) -> Iterator[Fact]:
    """Yield the directory of runtime: paths."""
    text = "creates the runtime directory"
    yield row.fact("launcher", "runtime directory", text, Reach("launch", "runtime directory"))


def stale_socket(row: Row) -> Iterator[Fact]:
    """Yield a socket nobody listens on."""
    path = row.args["path"]
    text = f"removes a stale socket {word(path)}"
    yield row.fact("launcher", ("stale", path), text, Reach("launch", "remove", same(path)))


def open_files(row: Row) -> Iterator[Fact]:
    """Yield the limit of open files."""
    text = "raises RLIMIT_NOFILE to the hard limit"
    yield row.fact("launcher", "open files", text, Reach("launch", "open files"))


def confine(row: Row) -> Iterator[Fact]:
    """Tell what of the host is taken from the VM's process."""
    required = row.args["mode"] == "required"
    unless = "or the VM does not start" if required else "if the host kernel supports them"
    text = f"{word(row.args['mode'])} (Landlock and seccomp, {unless})"
    # Landlock and seccomp hold the thread that asks for them and those that it starts.
    late = [name for name in row.before if name in THREADS]
    text += f", except for the thread of {', '.join(late)}, which starts before" if late else ""
    mode = "late" if late else "required" if required else "best-effort"
    yield row.fact("confine", ("confine", mode), text)


def stop(row: Row) -> Iterator[Fact]:
    """Tell what SIGTERM does: without this step it ends the VM at once."""
    args = dict(row.args)
    grace = args.pop("grace_s", None)
    after = (
        f"; the VM is killed after {grace} seconds or a second SIGTERM" if grace is not None else ""
    )
    more = "".join(f", {name} {word(str(value))}" for name, value in args.items())
    text = f"SIGTERM asks the program to stop{more}{after}"
    yield row.fact("stop", "stop", text)


def timeout(row: Row) -> Iterator[Fact]:
    """Tell after what time the VM is ended."""
    text = f"the VM is ended {row.args['seconds']} seconds after its launch"
    yield row.fact("timeout", "timeout", text)
