"""Directories, disks and the files that libkrun puts over them."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from krunc_schema import load

from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, STORE, plain
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts.guest_devices import disk_of
from krunc_compiler.review.facts.image import is_shown
from krunc_compiler.review.facts.process import program
from krunc_compiler.review.words import digest_of, word

ROOT_TAG = "/dev/root"
# The size of the memory window that libkrun itself gives a root.
_ROOT_WINDOW = 512 << 20
# libkrun's init takes the program from this file of the root.
PROGRAM_FILE = ".krun_config.json"
# krunc's own name for a script that the plan brings: nothing of the root is there.
SCRIPT = ".krunc_script"


def access(noun: str, path: str, read_only: bool) -> tuple[str, tuple[Reach, ...]]:
    """Return the kind of fact that using PATH is, and what it reaches; who can write can read."""
    read = Reach("read", noun, same(path))
    return ("read", (read,)) if read_only else ("write", (read, Reach("write", noun, same(path))))


@lru_cache(32)  # a plan has each twice, and few are kept: one may be long
def same(path: str) -> str:
    """Return PATH without the signs that cannot change where it leads: ./a//b/ as a/b."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    whole = ("/" if path.startswith("/") else "") + "/".join(parts) or "."
    return whole if path.startswith((RUNTIME, LAUNCH, STORE)) else plain(whole)


def root_tag(row: Row) -> str:
    """Return the tag of the box's root: the stage mounts it by another than libkrun does."""
    tag: str = load("orders")["share"]
    return tag if row.is_staged() else ROOT_TAG


def directory(row: Row) -> Iterator[Fact]:
    """Yield a share, or the root when its tag is the root's."""
    tag = row.args.get("tag", ROOT_TAG)
    path = row.args["root_path"] if "root_path" in row.args else row.args["path"]
    read_only = row.args.get("read_only", False)
    if row.is_staged() and tag == ROOT_TAG and path.startswith(LAUNCH):
        return  # the step that makes it is read
    is_root = tag == root_tag(row)
    what = "the guest's root" if is_root else f"share {word(tag)}"
    if is_root and not row.is_staged():
        mode = "read-only" if read_only else "read-write"
        changed = [] if read_only else [Reach("change", "root")]
        yield row.fact("root", "root", f"directory {word(path)}, {mode}", *changed)
    kind, reach = access("directory", path, read_only)
    what += ", ownership is not kept" if row.args.get("semantics") == "simplified" else ""
    window = row.args.get("shm_size", 0)
    if window and not (is_root and window == _ROOT_WINDOW):
        what += f", a window of {window} bytes"
    yield row.fact(kind, ("share", tag), f"directory {word(path)} ({what})", *reach)


def disk(row: Row) -> Iterator[Fact]:
    """Yield a disk image or block device, but for the image of the store, which is told already."""
    if is_shown(row):
        return
    args = row.args
    name = args.get("block_id", "root" if row.name == "krun_set_root_disk" else "data")
    kind, reach = access("disk", args["disk_path"], args.get("read_only", False))
    shape = args.get("disk_format", "raw")
    # An image of another format can name further files of the host, which are opened too.
    if shape != "raw":
        reach = (*reach, *(Reach(one.verb, f"disk as {shape}", one.target) for one in reach))
    extra = "".join(
        f", {text}"
        for name_, text in (("direct_io", "past the page cache"),)
        if args.get(name_) is True
    )
    if args.get("sync_mode") in ("none", "relaxed"):
        extra += f", flushes {args['sync_mode']}"
    place = row.device or "not attached: libkrun drops it beside other disks"
    text = f"{word(shape)} disk {word(args['disk_path'])} ({word(name)}, {place}{extra})"
    yield row.fact(kind, ("disk", name), text, *reach)
    if row.name == "krun_set_root_disk":
        changed = Reach("change", "root")
        yield row.fact("root", "root", f"disk {word(args['disk_path'])}, raw", changed)


def root_disk(row: Row) -> Iterator[Fact]:
    """Yield the root is a file system on a disk."""
    args = row.args
    system = word(args["fstype"]) if args["fstype"] else "any file system"
    options = f", options {word(args['options'])}" if args["options"] else ""
    disk = disk_of(args["device"]) or ""
    path = row.disks.get(disk)
    image = word(path) if path is not None else "no disk of this plan"
    changed = [Reach("change", "root")] if disk in row.written else []
    text = f"disk {word(args['device'])} ({image}), {system}{options}"
    yield row.fact("root", "root", text, *changed)
    # Seen in boots of 1.16.0 and 2.0-dev: the status travels over the root share, which is absent.
    yield row.fact("status", "status", "always 0, however the program ends")


def volumes(row: Row) -> Iterator[Fact]:
    """host:guest, of old libkruns on macOS."""
    for text in row.args["mapped_volumes"]:
        host = text.partition(":")[0]
        _, reach = access("directory", host, False)
        yield row.fact("write", ("volume", text), f"directory {word(host)} (mapped volume)", *reach)


def laid_at(path: str) -> str:
    """Return where in its directory something lies that is laid at PATH, however that is
    written."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def overlay(row: Row) -> Iterator[Fact]:
    """Yield a file that the guest sees in a share though no file of the host is there."""
    tag, path, data = row.args["fs_tag"], row.args["path"], row.args["data"]
    root = root_tag(row)
    where = f"{word(path)} in " + ("the root" if tag == root else f"share {word(tag)}")
    subject = ("overlay", tag, laid_at(path))
    is_program = tag == ROOT_TAG and laid_at(path) == f"/{PROGRAM_FILE}"
    if is_program and "process" in data:
        seen = None if row.args.get("one_shot") else f"{where}, which stays"
        yield from program(row, data["process"], None, seen)
    else:
        yield from content(row, subject, data, where)
    if is_program and "process" not in data:
        yield row.fact("program", "program", f"as the file {where} says: {_size(data)}")
    is_usual = row.args.get("one_shot") and row.args["mode"] & 0o7777 == 0o600
    if not (is_program and "process" in data and is_usual):
        kind = "program" if tag == ROOT_TAG and laid_at(path) == f"/{SCRIPT}" else "overlay"
        yield row.fact(kind, subject, f"{where}: {_size(data)}{_mode(row)}")


def content(row: Row, subject: tuple[str, ...], data: dict[str, Any], where: str) -> Iterator[Fact]:
    """Tell what the bytes of an argument take from the host: a file, or a program's secrets."""
    if "file" in data:
        path = data["file"]
        text = f"file {word(path)} (as {where})"
        yield row.fact("read", subject, text, Reach("read", "file", same(path)))
    if "process" in data:
        yield from program(row, data["process"], where, where)


def _size(data: dict[str, Any]) -> str:
    if "file" in data:
        return f"what the host's file {word(data['file'])} holds"
    if "process" in data:
        return "a program's configuration"
    if "text" in data:
        text = str(data["text"])
        return f"the string {word(text)}"
    try:
        content = base64.b64decode(str(data.get("base64", "")), validate=True)
    except (binascii.Error, ValueError):
        return "bytes that cannot be decoded"
    return f"{len(content)} bytes, {digest_of(content)}"


def _mode(row: Row) -> str:
    once = ", seen once" if row.args.get("one_shot") else ""
    return f", mode {row.args['mode']:o}{once}" if "mode" in row.args else once


def overlay_directory(row: Row) -> Iterator[Fact]:
    """Yield an empty directory that the guest sees in a share."""
    tag, path = row.args["fs_tag"], row.args["path"]
    where = "the root" if tag == root_tag(row) else f"share {word(tag)}"
    text = f"{word(path)} in {where}: an empty directory{_mode(row)}"
    yield row.fact("overlay", ("overlay", tag, laid_at(path)), text)
