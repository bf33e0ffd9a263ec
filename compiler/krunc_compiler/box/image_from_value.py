"""The value of a box whose root is an image: as that of a disk, with what the image says of its
program in the place of what the box leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from krunc_compiler.files.hostpath import STORE

if TYPE_CHECKING:  # few boxes have an image
    from krunc_compiler.image.lock import LockedImage
    from krunc_compiler.image.run_config import Run, User

# The disk that is the root; the guest does not see this name.
ROOT_DISK = "krunc-root"
_FSTYPE = "erofs"
# By the signal that an image asks for, what a SIGTERM does where the box leaves it open.
_STOPS = {"SIGINT": "interrupt", "SIGTERM": "terminate"}


def with_image(
    filled: dict[str, Any], stated: dict[str, Any], image: LockedImage
) -> dict[str, Any]:
    """Return the value FILLED of a box, which has STATED that much, with IMAGE as its root."""
    disk = {
        "id": ROOT_DISK, "path": STORE + image.root.digest, "format": "raw", "read_only": True,
        "direct_io": False, "sync": "full", "fstype": _FSTYPE,
    }  # fmt: skip
    value = {**filled, "disks": [*filled["disks"], disk], "rootfs": _root(filled["rootfs"])}
    value["entrypoint"] = _entrypoint(stated.get("entrypoint", {}), image.run)
    stop = filled["stop"]
    if "on_sigterm" not in stop and image.run.stop_signal in _STOPS:
        value["stop"] = {**stop, "on_sigterm": _STOPS[str(image.run.stop_signal)]}
    return value


def _root(given: dict[str, Any]) -> dict[str, Any]:
    root = {"disk": ROOT_DISK, "fstype": _FSTYPE, "read_only": given["read_only"]}
    if "changes" in given or not given["read_only"]:
        root["changes"] = given.get("changes", "discard")
    return {**root, "size": given["size"]} if "size" in given else root


def _entrypoint(stated: dict[str, Any], run: Run) -> dict[str, Any]:
    env = {**run.variables(), **stated.get("env", {})}
    found = {**stated, "workdir": stated.get("workdir") or run.working_dir or "/", "env": env}
    if "script" in stated:
        found["args"] = stated.get("args", [])
    else:
        executable, *args = run.words(stated.get("executable"), stated.get("args")) or ("",)
        found |= {"executable": executable, "args": args}
    if "user" not in stated and run.user is not None and run.user.uid:
        found["user"] = spelled(run.user)
        found["env"] = {"HOME": run.user.home, **env}
    return found


def spelled(user: User) -> str:
    """Return USER as the stage takes it: with the one group, or so that it finds the further groups
    in the image's own files, as the pull did."""
    return str(user.uid) if user.groups else f"{user.uid}:{user.gid}"
