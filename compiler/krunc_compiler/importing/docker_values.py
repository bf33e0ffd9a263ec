"""What each value of an option of docker run does to a box."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from krunc_compiler.importing import amounts, program, storage
from krunc_compiler.importing import network as networks
from krunc_compiler.importing.draft import At, Draft, box_name, shown
from krunc_compiler.importing.mount_options import refuse_unknown
from krunc_compiler.importing.reasons import REASONS

_OPENS = ("unconfined", "disable", "host")


def _measured(
    read: Callable[[Any], Any], form: str, then: Callable[[Draft, At, Any], None]
) -> Callable[[Draft, At, str], None]:
    """Return what hands a value that READ understands to THEN, and refuses others by the FORM."""

    def act(draft: Draft, at: At, text: str) -> None:
        value = read(text)
        if value is None:
            draft.wrong(at, f"{shown(text)} is not {form}", f"write {form}")
        else:
            then(draft, at, value)

    return act


cpus = _measured(amounts.decimal, "a number of CPUs, as in 1.5", program.set_cpus)
memory = _measured(amounts.size, "a size, as in 512m or 2g", program.set_memory)
timeout = _measured(amounts.decimal, "a number of seconds", program.set_timeout)
dns, host, mac, network, port = (
    networks.add_dns,
    networks.add_host,
    networks.set_mac,
    networks.set_network,
    networks.add_port,
)
hostname, platform, pids, stop_signal, user, workdir = (
    program.set_hostname,
    program.set_platform,
    program.set_pids,
    program.set_stop_signal,
    program.set_user,
    program.set_workdir,
)
tmpfs, volume = storage.add_tmpfs, storage.add_volume


def grace(draft: Draft, at: At, text: str) -> None:
    """Give the program so many seconds to end; -1 is for ever."""
    count = amounts.integer(text)
    if count is None or count < -1:
        draft.wrong(at, f"{shown(text)} is not a number of seconds", "write a number of seconds")
    else:
        program.set_grace(draft, at, 3600 if count == -1 else count)
        if count == -1:
            draft.note(at, "no grace period lasts forever: it is an hour")


def name(draft: Draft, at: At, text: str) -> None:
    """Name the box."""
    draft.name = box_name(text)
    if draft.name != text:
        draft.note(at, f"{shown(text)} became {draft.name or 'box'}")


def entrypoint(draft: Draft, at: At, text: str) -> None:
    """Run another program than the image's."""
    del at
    draft.entrypoint = [text] if text else []


def label(draft: Draft, at: At, text: str) -> None:
    """Keep a label, NAME or NAME=VALUE."""
    key, _, value = text.partition("=")
    program.add_label(draft, at, key, value)


def ulimit(draft: Draft, at: At, text: str) -> None:
    """Bound what the program uses: NAME=SOFT[:HARD]."""
    key, _, bounds = text.partition("=")
    soft, _, hard = bounds.partition(":")
    if text == "host":
        draft.note(at, "the host user's limits are not passed on: write them under limits")
    else:
        program.set_limit(draft, at, key, soft, hard or soft)


def variable(draft: Draft, at: At, text: str) -> None:
    """Give the program a variable: NAME=VALUE, or NAME as the engine's environment has it."""
    key, sign, value = text.partition("=")
    if sign:
        program.set_variable(draft, at, key, value)
    elif key.endswith("*"):
        said = "variables are not taken by a pattern: write each, {from_env: NAME}"
        draft.note(at, said)
    else:
        program.take_variable(draft, at, key, key)


def mount(draft: Draft, at: At, text: str) -> None:
    """Mount what the pairs KEY=VALUE of TEXT say."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    given = {key.strip(): value for key, _, value in pairs if key.strip()}

    def taken(*names: str) -> str:
        return next((value for value in (given.pop(one, "") for one in names) if value), "")

    kind = taken("type") or "volume"
    source, target = taken("source", "src"), taken("target", "destination", "dst")
    switches = {key: given.pop(key) for key in ("readonly", "ro") if key in given}
    read_only = any(amounts.switch(value or "true") is not False for value in switches.values())
    rest = [f"{key}={value}" if value else key for key, value in given.items()]
    if not target:
        draft.wrong(at, f"{shown(text)} says no target", "write type=bind,source=PATH,target=PATH")
    elif kind == "tmpfs":
        most, mode = taken("tmpfs-size", "size"), taken("tmpfs-mode", "mode")
        rest = [one for one in rest if one.partition("=")[0] in given]
        storage.make_tmpfs(draft, at, target, most or None, mode, rest)
    elif kind in ("bind", "volume"):
        if kind == "bind" and not source:
            draft.wrong(at, f"{shown(text)} says no source", "write source=PATH")
            return
        read_only = read_only or amounts.switch(given.pop("rw", "true") or "true") is False
        rest = [one for one in rest if one.partition("=")[0] in given]
        refuse_unknown(draft, at, rest)
        storage.add_mount(draft, at, kind, source, target, read_only, rest)
    else:
        draft.note(at, f"a mount of type {shown(kind)} has no counterpart: {shown(target)} omitted")


def read_only(draft: Draft, at: At, text: str) -> None:
    """Let the guest change nothing in its root."""
    del at, text
    draft.rootfs["read_only"] = True


def read_only_tmpfs(draft: Draft, at: At, text: str) -> None:
    """Tell that podman's own tmpfs are not made."""
    del text
    draft.note(at, "none is made by default: write /run, /tmp and /var/tmp under tmpfs")


def rootfs(draft: Draft, at: At, text: str) -> None:
    """Take a directory in the place of the image."""
    del at, text
    draft.rootfs["path"] = ""


def pod(draft: Draft, at: At, text: str) -> None:
    """Take the network of a pod, which cannot be joined."""
    networks.set_network(draft, at, f"pod:{text}")


def namespace(draft: Draft, at: At, text: str) -> None:
    """Tell what becomes of a namespace."""
    draft.note(at, REASONS["host_namespace" if text == "host" else "namespace"])


def env_host(draft: Draft, at: At, text: str) -> None:
    """Tell that no variable of the host is passed on by itself."""
    del text
    draft.note(at, "no host variable is passed on by default: write each, {from_env: NAME}")


def security(draft: Draft, at: At, text: str) -> None:
    """Tell what becomes of a security option."""
    key, _, value = text.replace(":", "=", 1).partition("=")
    if key == "no-new-privileges":
        draft.note(at, REASONS["no_new_privileges"])
    elif value in _OPENS or key in ("unmask", "systempaths", "writable-cgroups"):
        draft.note(at, REASONS["security_open"])
    else:
        draft.note(at, REASONS["seccomp" if key == "seccomp" else "security_label"])


def seccomp(draft: Draft, at: At, text: str) -> None:
    """Tell that no filter holds the guest off the host's kernel."""
    del text
    draft.note(at, REASONS["seccomp"])


def time_zone(draft: Draft, at: At, text: str) -> None:
    """Tell how the program is given a time zone."""
    draft.note(at, f"write it as a variable: TZ: {text if text != 'local' else 'Area/City'}")


def unset(draft: Draft, at: At, text: str) -> None:
    """Tell that the image's variables stay."""
    del text
    draft.note(at, "a variable of the image stays: give it another value under entrypoint.env")
