"""What the stage, krunc's own first program in the guest, does there: its orders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts.guest_devices import disk_of
from krunc_compiler.review.facts.image import called
from krunc_compiler.review.facts.process import command, environment
from krunc_compiler.review.facts.storage import same
from krunc_compiler.review.words import word

# As whom the program runs; a name that is not root's is nobody with uid 0, or the stage refuses it.
AS_ROOT = Reach("as", "root")


@cache
def table() -> dict[str, Any]:
    """Return what the stage and the launcher agree on: schema/krunc_schema/orders.json."""
    content: dict[str, Any] = load("orders")
    return content


def laid(row: Row) -> Iterator[Fact]:
    """Yield the directory that is the VM's root before the stage changes it."""
    path, written = row.args["path"], row.args["access"] != "read"
    text = f"makes {word(path)} for this launch, with krunc's first program in the guest, the stage"
    text += "; the guest's root can write there" if written else ""
    reach = [Reach("launch", "stage", same(path))]
    reach += [Reach("launch", "written stage", same(path))] if written else []
    yield row.fact("launcher", "stage", text, *reach)


def root_share(row: Row) -> Iterator[Fact]:
    """Yield the root, when it is a directory of the host."""
    tag = row.args["tag"]
    path = row.shares.get(tag)
    what = f"directory {word(path)}" if path is not None else f"no share of this plan ({word(tag)})"
    yield from _root(row, what, tag)


def root_disk(row: Row) -> Iterator[Fact]:
    """Yield the root, when it is on a disk."""
    args = row.args
    disk = disk_of(args["device"])
    path = row.disks.get(disk or "")
    image = called(path, row) if path is not None else "no disk of this plan"
    options = f", options {word(args['options'])}" if args["options"] else ""
    what = f"disk {word(args['device'])} ({image}), {word(args['fstype'])}{options}"
    yield from _root(row, what, disk or "")


def _root(row: Row, what: str, name: str) -> Iterator[Fact]:
    """Yield the root; what is attached for writing can be written to by the guest's root, however
    it is mounted."""
    reach = [Reach("change", "root")] if name in row.written else []
    yield row.fact("root", "root", f"{what}, {_mode(row, name)}", *reach)


def discarded(row: Row) -> Iterator[Fact]:
    """Tell that the guest's changes to its root are lost with the VM."""
    size = row.args["size_mib"]
    most = f"{size} MiB" if size is not None else "half"
    text = f"to the root: discarded with the VM, at most {most} of its memory"
    yield row.fact("changes", "changes", text)


def kept(row: Row) -> Iterator[Fact]:
    """Tell that the guest's changes to its root are kept on a disk, which is the host's."""
    device = row.args["device"]
    image = row.disks.get(disk_of(device) or "")
    where = word(image) if image is not None else "no disk of this plan"
    text = f"to the root: kept on the disk {word(device)} ({where}), {word(row.args['fstype'])}"
    yield row.fact("changes", "changes", text, Reach("change", "root"))


def tmpfs(row: Row) -> Iterator[Fact]:
    """Yield an empty file system in the guest's memory."""
    args = row.args
    size = f"at most {args['size_mib']} MiB" if args["size_mib"] is not None else "half at most"
    what = f"an empty file system in the guest's memory, {size}, mode {word(args['mode'])}"
    yield _mounted(row, what)


def share(row: Row) -> Iterator[Fact]:
    """Yield a directory of the host that the guest finds mounted."""
    tag = row.args["tag"]
    path = row.shares.get(tag)
    directory = f"directory {word(path)}" if path is not None else "no share of this plan"
    what = f"{directory} (share {word(tag)}), {_mode(row, tag)}"
    yield _mounted(row, what)


def disk(row: Row) -> Iterator[Fact]:
    """Yield the file system of a disk that the guest finds mounted."""
    args = row.args
    name = disk_of(args["device"]) or ""
    path = row.disks.get(name)
    image = word(path) if path is not None else "no disk of this plan"
    options = f", options {word(args['options'])}" if args["options"] else ""
    what = f"disk {word(args['device'])} ({image}), {word(args['fstype'])}{options}"
    what += f", {_mode(row, name)}"
    yield _mounted(row, what)


def _mode(row: Row, name: str) -> str:
    if row.args["access"] == "read-write":
        return "read-write"
    return "mounted read-only, but attached for writing" if name in row.written else "read-only"


def _mounted(row: Row, what: str) -> Fact:
    """Return what is mounted. It reaches nothing: with or without the mount, the guest's root can
    use whatever the plan attaches, and a tmpfs is memory that the guest has anyway."""
    path = row.args["path"]
    return row.fact("mount", ("mount", path), f"{word(path)}: {what}")


def interface(row: Row) -> Iterator[Fact]:
    """Yield the address of a network interface."""
    args = row.args
    text = f"{word(args['name'])} has {word(args['address'])}/{args['prefix']}, and the gateway "
    yield row.fact("address", ("address", args["name"]), text + word(args["gateway"]))


def hostname(row: Row) -> Iterator[Fact]:
    """Yield the guest's host name."""
    yield row.fact("host name", "host name", word(row.args["name"]))


def host(row: Row) -> Iterator[Fact]:
    """Yield an address by the name that the guest has for it."""
    name, address = row.args["name"], row.args["address"]
    yield row.fact("hosts", ("host", name), f"{word(name)} is {word(address)}")


def nameserver(row: Row) -> Iterator[Fact]:
    """Yield a name server that the guest asks."""
    address = row.args["address"]
    yield row.fact("name server", ("name server", address), word(address))


def user(row: Row) -> Iterator[Fact]:
    """Yield the user of the guest that the program runs as."""
    name = row.args["user"]
    is_root = api.is_root(name)
    known = "root" if is_root else f"{word(name)}, as the guest's own /etc/passwd has it"
    yield row.fact("guest user", "guest user", known, *([AS_ROOT] if is_root else []))


def before(row: Row) -> Iterator[Fact]:
    """Yield the script that runs as root before the program."""
    script = row.args["script"]
    text = f"{word(script)}, a script that the guest's root runs before the program"
    yield row.fact("run", ("run", "before"), text, Reach("run", "before", script))


def workdir(row: Row) -> Iterator[Fact]:
    """Yield the program's working directory."""
    yield row.fact("workdir", "workdir", word(row.args["workdir_path"]))


def program(row: Row) -> Iterator[Fact]:
    """Yield the program; its environment is on no command line."""
    args = row.args
    yield row.fact("program", "program", command([args["exec_path"], *args["argv"]]))
    yield from environment(row, args["envp"], None)


def by_default(facts: list[Fact]) -> Iterator[Fact]:
    """Yield what is so where no operation says otherwise: libkrun's init starts a program as root,
    and the guest's changes to its root are the host's."""
    told = {fact.kind for fact in facts}
    program = next((fact for fact in facts if fact.kind == "program"), None)
    if program is not None and "guest user" not in told:
        subject = ("guest user",)
        at = program.origin, program.operation
        yield Fact("guest user", subject, "root", *at, frozenset((AS_ROOT,)))
    root = next((fact for fact in facts if fact.kind == "root"), None)
    if root is not None and "changes" not in told:
        changed = Reach("change", "root") in root.reach
        text = "to the root: written to the host" if changed else "to the root: none are possible"
        yield Fact("changes", ("changes",), text, root.origin, root.operation)
