"""Options of a container's mounts: those that forbid writing, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable

from krunc_compiler.importing.draft import At, Draft, shown

READ_ONLY = ("ro", "rro", "readonly")
# What a disk of the box takes, too.
OF_DISKS = ("noexec", "nosuid", "nodev", "noatime", "nodiratime", "sync", "dirsync")
# The stage mounts each tmpfs so.
OF_TMPFS = ("nosuid", "nodev")
# Changes are kept apart from what is mounted.
APART = "O"
_OWNERS = ("U", "chown")
# What changes nothing of what the guest may do.
_QUIET = (
    "rw", "z", "Z", "cached", "delegated", "consistent", "consistency", "copy", "nocopy", "rbind",
    "bind", "private", "rprivate", "exec", "dev", "suid", "relatime", "strictatime",
    "nostrictatime", "norelatime", "tmpcopyup", "notmpcopyup", "create_host_path",
    "bind-create-src", "relabel",
)  # fmt: skip
# What an engine knows, and a box has nothing for.
_WITHOUT = (
    "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "bind-propagation",
    "bind-nonrecursive", "bind-recursive", "volume-driver", "volume-label", "volume-nocopy",
    "volume-opt", "volume-subpath", "subpath", "image-subpath", "idmap", "no-dereference",
    "upperdir", "workdir", "propagation", "recursive", "selinux", "labels",
)  # fmt: skip


def is_read_only(options: Iterable[str]) -> bool:
    """Tell whether OPTIONS of a mount forbid writing; rro does for what is mounted below, too."""
    return not set(READ_ONLY).isdisjoint(options)


def refuse_unknown(draft: Draft, at: At, options: Iterable[str]) -> None:
    """Refuse OPTIONS that no engine knows: one of them could be meant to forbid something."""
    known = {*READ_ONLY, *OF_DISKS, *_OWNERS, *_QUIET, *_WITHOUT, APART}
    for option in options:
        if option.partition("=")[0] not in known:
            hint = "remove it, or write ro where it is to forbid writing"
            draft.wrong(at, f"{shown(option)} is not an option of a mount", hint)


def tell(draft: Draft, at: At, option: str, is_disk: bool = False) -> None:
    """Tell what becomes of OPTION, where it is not the same without a word."""
    name = option.partition("=")[0]
    if name in _QUIET or name == APART or (is_disk and name in OF_DISKS):
        return
    if name in OF_DISKS:
        draft.note(at, f"{option} does not hold there: the guest mounts it without")
    elif name in _OWNERS:
        draft.note(at, "owners of host files stay: chown them where the program has to write")
    else:
        draft.note(at, f"the option {shown(option)} has no counterpart")
