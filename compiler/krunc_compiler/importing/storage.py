"""A container's volumes, binds and tmpfs: shares, disks and tmpfs of a box."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from krunc_compiler.importing.amounts import MIB, size
from krunc_compiler.importing.draft import At, Draft, box_name, free, shown
from krunc_compiler.importing.mount_options import (
    APART,
    OF_DISKS,
    OF_TMPFS,
    READ_ONLY,
    is_read_only,
    refuse_unknown,
    tell,
)
from krunc_compiler.importing.reasons import REASONS

# What the guest has of its own, and what of the host no share may hold.
_GUESTS = ("/dev", "/proc", "/sys")
_NO_SHARES = ("/dev", "/proc", "/sys")
_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
# What people bind, and is a file wherever it is.
_KNOWN_FILES = tuple(
    f"/etc/{name}"
    for name in ("localtime", "timezone", "machine-id", "passwd", "group", "shadow", "os-release")
)
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MODE = re.compile(r"[01]?[0-7]{3}")
_SOCKET = re.compile(r".*\.sock(et)?")
_SUFFIX = re.compile(r"[^.].*\.[A-Za-z0-9]+")
_MOST_TAG = 36
_MOST_MOUNTS = 64


def add_volume(draft: Draft, at: At, text: str) -> None:
    """Mount what TEXT says: [SOURCE:]TARGET[:OPTIONS]."""
    parts = text.split(":")
    if len(parts) == 1:
        add_mount(draft, at, "volume", "", parts[0])
    elif len(parts) > 3 or not all(parts):
        hint = "write SOURCE:TARGET, or SOURCE:TARGET:ro"
        draft.wrong(at, f"{shown(text)} is not a volume", hint)
    else:
        source, target = parts[:2]
        options = parts[2].split(",") if len(parts) == 3 else []
        kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
        refuse_unknown(draft, at, options)
        add_mount(draft, at, kind, source, target, is_read_only(options), options)


def add_mount(
    draft: Draft,
    at: At,
    kind: str,
    source: str,
    target: str,
    read_only: bool = False,
    options: Iterable[str] = (),
) -> None:
    """Mount SOURCE, which is a bind or a volume by its KIND, at TARGET."""
    if len(draft.shares) + len(draft.disks) == _MOST_MOUNTS:
        draft.wrong(
            at, "this is one mount too many", f"allowed: {_MOST_MOUNTS}; a VM has fewer devices"
        )
        return
    options = [one for one in options if one and one not in READ_ONLY]
    place = _target(draft, at, target)
    if place is None:
        return
    if APART in options:
        draft.note(at, "O keeps changes apart from the host: the share is read-only instead")
        read_only = True
    if kind == "bind":
        _bind(draft, at, source, place, read_only, options)
    elif not source:
        draft.nameless.append((at, place))
    elif not _VOLUME.fullmatch(source):
        hint = "a volume's name has letters, digits, '_', '.' and '-'; a path starts with / or ./"
        draft.wrong(at, f"{shown(source)} is neither a volume nor a path", hint)
    else:
        _volume(draft, at, source, place, read_only, options)


def _target(draft: Draft, at: At, path: str) -> str | None:
    """Return where in the guest PATH is, when something can be mounted there."""
    if not path.startswith("/") or "\0" in path or len(path) > 4000:
        hint = "a path in the guest starts with /"
        draft.wrong(at, f"{shown(path)} is not an absolute path in the guest", hint)
        return None
    whole = "/" + posixpath.normpath(path).lstrip("/")
    if whole == "/":
        draft.wrong(at, "the root itself is not a place to mount at", "name a directory below it")
        return None
    if _lies_in(whole, _GUESTS):
        said = REASONS["shm"] if whole == "/dev/shm" else f"{whole} is the guest's own: omitted"
        draft.note(at, said)
        return None
    return whole


def _bind(
    draft: Draft, at: At, source: str, target: str, read_only: bool, options: list[str]
) -> None:
    if source.startswith("~"):
        said = "which home directory ~ is, is not known here: omitted; write the path as a share"
        draft.note(at, said)
        return
    if "\0" in source or not source:
        draft.wrong(at, f"{shown(source)} is not a host path", "write / or ./ before it")
        return
    path = draft.host_path(source)
    name = posixpath.basename(path)
    if _SOCKET.fullmatch(name):
        said = "a socket in a share connects nothing, and an engine's would open the host: omitted"
        draft.note(at, said)
        return
    if path == "/" or _lies_in(path, _NO_SHARES):
        draft.note(at, f"it would open {path} on the host, which no share may hold: omitted")
        return
    if path in _KNOWN_FILES:
        draft.note(at, f"a share is a directory, {path} a file: omitted; copy it into the root")
        return
    if target in _FILES:
        draft.note(at, f"{target} is the VM's own (hostname, hosts, dns): omitted")
        return
    if _SUFFIX.fullmatch(name) and _SUFFIX.fullmatch(posixpath.basename(target)):
        said = f"if {name} is a file: a share is a directory; share the one that holds it, and"
        draft.note(at, f"{said} make a link in entrypoint.before")
    tag = box_name(name if name not in (".", "..") else posixpath.basename(target)) or "share"
    tag = free(tag[: _MOST_TAG - 4], [share["tag"] for share in draft.shares])
    share: dict[str, Any] = {"tag": tag, "path": path, "mount": target}
    draft.shares.append(share if read_only else {**share, "read_only": False})
    for option in options:
        tell(draft, at, option)


def _volume(
    draft: Draft, at: At, name: str, target: str, read_only: bool, options: list[str]
) -> None:
    path = draft.host_path(f"{name}.img")
    if any(disk["path"] == path for disk in draft.disks):
        draft.note(at, f"the disk of volume {name} is mounted once: omitted at {target}")
        return
    disk: dict[str, Any] = {"id": name[:64], "path": path, "format": "raw", "mount": target}
    if read_only:
        disk["read_only"] = True
    kept = [option for option in options if option in OF_DISKS]
    if kept:
        disk["options"] = ",".join(dict.fromkeys(kept))
    draft.disks.append(disk)
    for option in options:
        tell(draft, at, option, is_disk=True)
    draft.note(
        at,
        f"volume {name} is a disk; make it once: "
        f"truncate -s 10G {path} && mke2fs -q -t ext4 {path}",
    )


def settle(draft: Draft) -> None:
    """Finish what depends on the whole box: volumes without a name, and owners of new disks."""
    for at, target in draft.nameless:
        _nameless(draft, at, target)
    mounts = [disk["mount"] for disk in draft.disks if not disk.get("read_only")]
    if not mounts:
        return
    at, user = At("volumes"), draft.program.get("user")
    if user in (None, "root"):
        said = "a new disk is empty and root's, where an engine copies what the image has at its "
        draft.note(at, said + "place, with the owner: entrypoint.before can do it")
        return
    # The words of a script: paths may hold anything.
    quoted = " ".join(f"'{path}'" if _is_odd(path) else path for path in mounts)
    if any("'" in path for path in mounts):
        draft.note(at, f"a new disk is root's: entrypoint.before can give it to {user}")
        return
    draft.program["before"] = f"chown {user} {quoted}"
    said = "a new disk is empty and root's: entrypoint.before gives it to the program's user, and "
    draft.note(at, said + "what the image has at its place is not copied")


def _is_odd(path: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_./@+=:-]+", path) is None


def _nameless(draft: Draft, at: At, target: str) -> None:
    if draft.rootfs.get("read_only"):
        _keep_tmpfs(draft, {"path": target})
        draft.note(at, "a volume without a name became a tmpfs: it is empty, and lost with the VM")
    else:
        draft.note(
            at, f"a volume without a name is lost with its container: {target} of the root is"
        )


def add_tmpfs(draft: Draft, at: At, text: str) -> None:
    """Mount the tmpfs that TEXT says: PATH[:OPTIONS]."""
    path, _, rest = text.partition(":")
    size_text = mode = ""
    others = []
    for option in filter(None, rest.split(",")):
        name, _, value = option.partition("=")
        if name == "size":
            size_text = value
        elif name == "mode":
            mode = value
        else:
            others.append(option)
    make_tmpfs(draft, at, path, size_text or None, mode, others)


def make_tmpfs(
    draft: Draft,
    at: At,
    path: str,
    most: Any = None,
    mode: str = "",
    options: Iterable[str] = (),
    of_engine: bool = True,
) -> None:
    """Mount a tmpfs at PATH that holds MOST bytes, with MODE. One OF_ENGINE is noexec by itself."""
    place = _target(draft, at, path)
    if place is None:
        return
    tmpfs: dict[str, Any] = {"path": place}
    count = size(most) if most is not None else None
    if most is not None and count is None:
        if str(most).endswith("%"):
            draft.note(
                at, f"a part of the memory is not a size of a tmpfs: {shown(str(most))} omitted"
            )
        else:
            draft.wrong(at, f"{shown(str(most))} is not a size", "write a number and its unit: 64m")
    elif count:
        mib = max(count // MIB, 1)
        tmpfs["size"] = f"{mib}MiB"
        if mib * MIB != count:
            draft.note(at, f"a tmpfs has whole MiB: {mib}")
    mode = mode.removeprefix("0o")
    mode = mode[1:] if len(mode) == 5 and mode[0] == "0" else mode
    if mode and MODE.fullmatch(mode):
        tmpfs["mode"] = mode
    elif mode:
        draft.wrong(at, f"{shown(mode)} is not a mode of a tmpfs", "write 3 or 4 octal digits")
    _keep_tmpfs(draft, tmpfs)
    given = [one for one in options if one not in OF_TMPFS]
    if of_engine and "exec" not in given and "noexec" not in given:
        draft.note(at, "an engine's tmpfs is noexec; programs of the guest's can be run")
    for option in given:
        tell(draft, at, option)


def _keep_tmpfs(draft: Draft, tmpfs: dict[str, Any]) -> None:
    draft.tmpfs.append(tmpfs if len(tmpfs) > 1 else tmpfs["path"])


def _lies_in(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)
