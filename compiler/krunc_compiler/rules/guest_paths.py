"""Paths in the guest: options of other tools behind them, and files that the box itself hides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from krunc_schema import load

from krunc_compiler.box.box import Box, DirectoryRoot, DiskRoot, Overlay, Tmpfs
from krunc_compiler.box.networks import NetworkDevices, PasstDevice
from krunc_compiler.findings.finding import Finding, Path, dotted

_SHELL = "/bin/sh"
_USERS = "/etc/passwd"
_HOSTS, _SERVERS = "/etc/hosts", "/etc/resolv.conf"
_KEYS = {_HOSTS: "hosts", _SERVERS: "dns"}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MIB = 1 << 20
_OPEN = "1777"  # the mode of a tmpfs without one
_ACCESS = ("ro", "rw", "readonly", "read_only")


class _Laid(NamedTuple):
    """What an overlay puts into the guest: its path there, "" where the box does not mount it."""

    path: str
    item: Overlay
    key: Path


def check(box: Box) -> list[Finding]:
    """Tell what is wrong with the paths in the guest that BOX names."""
    found: list[Finding] = []
    # Most boxes have nothing mounted, and nearly no path has one of these characters.
    mounts = list(points(box)) if box.tmpfs or box.shares or box.disks else []
    overlays = _overlays(box) if _has_overlay(box) else []
    stated = [*mounts, *((item.path, where) for _, item, where in overlays), *_of_program(box)]
    for path, where in stated:
        if ":" in path or "," in path:
            found += _with_options(path, where, box)
    if mounts or overlays:
        files = list(_files(box))
        found += [
            item for file, key in files for item in _written_twice(file, key, mounts, overlays)
        ]
        found += _hidden(box, mounts, overlays)
    return found


def points(box: Box) -> Iterator[tuple[str, Path]]:
    """Yield each mount point of BOX, and its key."""
    for i, tmpfs in enumerate(box.tmpfs):
        whole: Path = ("tmpfs", i)
        yield tmpfs.path, box.origin(*whole, "path") or whole
    for i, share in enumerate(box.shares):
        if share.mount is not None:
            yield share.mount, ("shares", i, "mount")
    for i, disk in enumerate(box.disks):
        if disk.mount is not None:
            yield disk.mount, ("disks", i, "mount")


def _has_overlay(box: Box) -> bool:
    if isinstance(box.rootfs, DirectoryRoot) and box.rootfs.overlay:
        return True
    for share in box.shares:  # noqa: SIM110
        if share.overlay:
            return True
    return False


def _overlays(box: Box) -> list[_Laid]:
    """Return what overlays put into the guest."""
    layers: list[tuple[str | None, tuple[Overlay, ...], Path]] = []
    if isinstance(box.rootfs, DirectoryRoot):
        layers.append(("", box.rootfs.overlay, ("rootfs", "overlay")))
    for i, share in enumerate(box.shares):
        layers.append((share.mount, share.overlay, ("shares", i, "overlay")))
    return [
        _Laid(
            "" if top is None else f"{_plain(top)}/{item.path.strip('/')}", item, (*key, i, "path")
        )
        for top, overlay, key in layers
        for i, item in enumerate(overlay)
    ]


def _of_program(box: Box) -> list[tuple[str, Path]]:
    """Return the paths of the program and of the root's device, where the box itself states
    them."""
    program, root = box.entrypoint, box.rootfs
    paths: list[tuple[str, Path]] = [
        (program.executable, ("entrypoint", "executable")),
        (program.workdir, ("entrypoint", "workdir")),
    ]
    if isinstance(root, DiskRoot) and root.device is not None:
        paths.append((root.device, ("rootfs", "device")))
    return paths


def _plain(path: str) -> str:
    return path.rstrip("/")


def _covers(point: str, path: str) -> bool:
    """Tell whether PATH is POINT or lies below it."""
    return f"{path}/".startswith(f"{point}/")


class _Options(NamedTuple):
    """Options behind the PATH of a string, as they are `written` there: words and values."""

    path: str
    written: str
    words: list[str]
    values: dict[str, str]


def _folded(option: str) -> str:
    """Return OPTION in lower case, but for one letter, since Z is not z; Docker's tmpfs-size is
    the size."""
    plain = option.strip()
    return plain if len(plain) == 1 else plain.lower().removeprefix("tmpfs-")


def _options(text: str) -> _Options | None:
    """Return the options of other tools that TEXT has behind a path, if it has any."""
    known = load("habits")["mount_options"]
    for mark in re.finditer("[:,]", text):
        written = text[mark.end() :]
        pairs = [_folded(part).partition("=") for part in written.split(",")]
        first, sign, _ = pairs[0]
        if first in known["values" if sign else "words"]:
            words = [name for name, sign, _ in pairs if not sign]
            values = {name: value for name, sign, value in pairs if sign}
            return _Options(text[: mark.start()], written, words, values)
    return None


def _with_options(path: str, where: Path, box: Box) -> Iterator[Finding]:
    found = _options(path) if box.origin(*where) else None  # an image's are not the box's
    if found is None:
        return
    match where:
        case ("tmpfs", int(i), *_):
            ways = _of_tmpfs(found, box.tmpfs[i], box.machine.memory_mib)
        case ("shares", _, "mount"):
            ways = _of_mount(found, None, False)
        case ("disks", int(i), "mount"):
            ways = _of_mount(found, box.disks[i].options, True)
        case _:
            ways = f"write {_quoted(found.path)} alone: no options belong to it"
    yield Finding(
        "KR106",
        f"{path!r} is taken as a path as a whole, with {found.written!r} in it",
        where,
        hint=ways,
    )


def _quoted(text: str) -> str:
    return repr(text) if re.search(r"[,\[\]{}#]|:$", text) else text


def _lacking(names: list[str]) -> str:
    return f"; there is no key for {', '.join(names)}" if names else ""


def _of_tmpfs(found: _Options, tmpfs: Tmpfs, memory_mib: int) -> str:
    """Tell how a tmpfs with options is written; one that has keys already has them."""
    size = tmpfs.size_mib or _mib(found.values.get("size", ""), memory_mib)
    stated = tmpfs.mode if tmpfs.mode != _OPEN else ""
    mode = re.fullmatch("0?([01][0-7]{3})|[0-7]{3}", found.values.get("mode", stated))
    keys = [f"path: {_quoted(found.path)}"]
    keys += [f"size: {size}MiB"] if size else []
    keys += [f'mode: "{mode[1] or mode[0]}"'] if mode else []
    given = ("rw", "nosuid", "nodev")  # as it is mounted without a word
    rest = [word for word in found.words if word not in given]
    rest += [name for name in found.values if not (name == "size" and size) and name != "mode"]
    rest += [] if mode or "mode" not in found.values else ["mode"]
    return f"write {{{', '.join(keys)}}}{_lacking(rest)}"


def _mib(text: str, memory_mib: int) -> int | None:
    """Return the MiB, rounded up, of a size as mount(8) takes it for a tmpfs."""
    found = re.fullmatch("([0-9]{1,18})([bkmgt]?|%)(?:i?b)?", text.lower())
    if found is None:
        return None
    number = int(found[1])
    if found[2] == "%":
        return number * memory_mib // 100 or None
    return -(-number * _BYTES[found[2]] // _MIB) or None


def _of_mount(found: _Options, options: str | None, is_disk: bool) -> str:
    """Tell how a mount with options is written; a disk's may have OPTIONS already."""
    keys = [f"mount: {_quoted(found.path)}"]
    # The last one counts, as for mount(8).
    for name, value in (*((word, "") for word in found.words), *found.values.items()):
        if name in _ACCESS:
            is_no = value in ("false", "no", "off", "0")
            keys[1:] = [f"read_only: {str((name == 'rw') == is_no).lower()}"]
    rest = [word for word in found.words if word not in _ACCESS]
    rest += [f"{name}={value}" for name, value in found.values.items() if name not in _ACCESS]
    flags = load("habits")["mount_options"]["flags"]
    own = [one for one in rest if is_disk and one in flags]
    if own:
        keys.append(f'options: "{",".join([*filter(None, [options]), *own])}"')
    return f"write {', '.join(keys)}{_lacking([one for one in rest if one not in own])}"


def _files(box: Box) -> Iterator[tuple[str, Path]]:
    """Yield the files that the stage makes for BOX, and the key that asks for each."""
    hosts = ("hosts",) if box.hosts else ("hostname",) if box.hostname is not None else None
    if hosts is not None:
        yield _HOSTS, hosts
    if box.dns:
        yield _SERVERS, ("dns",)
    elif isinstance(box.network, NetworkDevices) and any(
        isinstance(device, PasstDevice) and not device.dhcp for device in box.network.devices
    ):
        yield _SERVERS, ("network",)


def _written_twice(
    file: str, key: Path, mounts: list[tuple[str, Path]], overlays: list[_Laid]
) -> Iterator[Finding]:
    """Yield what would be in the place of FILE, which the stage makes as KEY says."""
    for path, where in [*mounts, *((one.path, one.key) for one in overlays)]:
        if _covers(file, _plain(path)):
            yield Finding(
                "KR201",
                f"{file} is made for this VM, as {dotted(key)} says",
                where,
                hint=f"remove it, and write under {_KEYS[file]} what the file shall have",
            )


def _hidden(box: Box, mounts: list[tuple[str, Path]], overlays: list[_Laid]) -> Iterator[Finding]:
    """Yield each empty file system over a path that is needed before anything can be put there,
    and each mount over an overlay's file."""
    plain = [(_plain(path), key) for path, key in mounts]
    for path, key, instead in _needed(box) if box.tmpfs else ():
        point, where = _above(plain, path)
        is_made = any(_covers(path, other) for other, _ in plain)
        if where[:1] == ("tmpfs",) and not is_made:
            yield Finding(
                "KR850",
                f"this file system is empty and hides {path}, which {dotted(key)} needs",
                where,
                hint=f"mount it elsewhere{instead}",
            )
    for path, item, where in overlays:
        point, key = _above(plain, path)
        if where[0] == "rootfs" and point and point != path and not item.directory:
            yield Finding(
                "KR850",
                f"{dotted(key)} is mounted at {point} and hides this file",
                where,
                hint="remove it, or mount that elsewhere; a share has an overlay of its own",
            )


def _above(mounts: list[tuple[str, Path]], path: str) -> tuple[str, Path]:
    """Return the nearest of MOUNTS that PATH is or lies in, and its key; nothing for none."""
    found = [one for one in mounts if _covers(one[0], path)]
    return max(found, key=lambda one: len(one[0]), default=("", ()))


def _needed(box: Box) -> Iterator[tuple[str, Path, str]]:
    """Yield the paths that have to be in the guest, each with its key and what else to do."""
    program = box.entrypoint
    if program.script is not None:
        yield _SHELL, ("entrypoint", "script"), ""
    if program.before is not None:
        yield _SHELL, ("entrypoint", "before"), ""
    elif program.executable.startswith("/"):
        is_shell = program.executable == _SHELL
        way = "" if is_shell else ", or put the program there in entrypoint.before"
        yield _plain(program.executable), ("entrypoint", "executable"), way
    if program.user is not None and not all(
        part.isascii() and part.isdigit() for part in program.user.split(":")
    ):
        yield _USERS, ("entrypoint", "user"), ", or write numbers as in user: 1000"
    if program.before is None and _plain(program.workdir):
        way = ", or make the directory in entrypoint.before"
        yield _plain(program.workdir), ("entrypoint", "workdir"), way
