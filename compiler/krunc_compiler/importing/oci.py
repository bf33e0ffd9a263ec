"""An OCI runtime bundle, a directory with config.json and a root, as a box."""

from __future__ import annotations

from typing import Any

from krunc_compiler.findings.finding import reject
from krunc_compiler.importing import network, program, storage
from krunc_compiler.importing.boxlite import Imported
from krunc_compiler.importing.configuration import configuration
from krunc_compiler.importing.draft import At, Draft, box_name, shown
from krunc_compiler.importing.mount_options import is_read_only
from krunc_compiler.importing.oci_keys import BECOMES, TOLD
from krunc_compiler.importing.reasons import REASONS

CONFIG = "config.json"
# What the stage mounts by itself, whatever its options.
_OWN = ("proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs")
_SETTLED = ("size", "mode")
_BINDS = ("bind", "rbind")
_QUIET = ("rw", "rbind", "bind", "rprivate", "private", "ro", "rro", "nr_inodes")
_PERIOD = 100_000
_UNKNOWN = "unknown to this version of krunc"


def convert(name: str, text: str, directory: str, home: str) -> Imported:
    """Return the box of the config.json TEXT, which came from NAME in the bundle DIRECTORY.

    HOME leads from the box's directory to the bundle. Raises Rejected with all that is wrong.
    """
    value, source = configuration(name, text, "oci.schema")
    draft = Draft(home)
    draft.name = box_name(value.get("hostname") or directory)
    _root(draft, value["root"])
    _process(draft, value["process"])
    if value.get("hostname"):
        program.set_hostname(draft, _at("hostname"), value["hostname"])
    for i, mount in enumerate(value.get("mounts") or ()):
        _mount(draft, _at("mounts").below(i), mount)
    for key, label in (value.get("annotations") or {}).items():
        program.add_label(draft, _at("annotations").below(key), key, label)
    linux = value.get("linux") or {}
    _network(draft, linux.get("namespaces") or [])
    _resources(draft, linux.get("resources") or {})
    _rest(draft, value)
    storage.settle(draft)
    network.settle(draft)
    program.settle(draft, _at("process", "args"))
    if draft.findings:
        raise reject(source, draft.findings)
    return draft.imported()


def _at(*path: str) -> At:
    return At(".".join(path), path)


def _root(draft: Draft, root: dict[str, Any]) -> None:
    if not root["path"] or "\0" in root["path"]:
        draft.wrong(_at("root", "path"), "this is not a path", "write the root's directory")
    draft.rootfs = {"path": draft.host_path(root["path"])}
    if root.get("readonly"):
        draft.rootfs["read_only"] = True
    else:
        said = (
            "the container changes this directory, and so does the VM: changes: discard holds more"
        )
        draft.note(_at("root"), said)


def _process(draft: Draft, process: dict[str, Any]) -> None:
    draft.entrypoint = list(process["args"])
    program.set_workdir(draft, _at("process", "cwd"), process["cwd"])
    for i, pair in enumerate(process.get("env") or ()):
        at = _at("process", "env").below(i)
        name, sign, text = pair.partition("=")
        if not sign:
            draft.note(at, f"{shown(pair)} has no value: omitted")
            continue
        if name in draft.env:
            draft.note(at, f"{name} is there twice; the last one is taken")
        program.set_variable(draft, at._replace(name=f"process.env.{name}"), name, text)
    for i, limit in enumerate(process.get("rlimits") or ()):
        at = _at("process", "rlimits").below(i)
        program.set_limit(draft, at, limit["type"], limit["soft"], limit["hard"])
    _user(draft, process.get("user") or {})
    if process.get("noNewPrivileges"):
        draft.note(_at("process", "noNewPrivileges"), REASONS["no_new_privileges"])
    if process.get("capabilities"):
        draft.note(_at("process", "capabilities"), REASONS["cap_drop"])


def _user(draft: Draft, user: dict[str, Any]) -> None:
    at = _at("process", "user")
    program.set_user(draft, at, f"{user.get('uid', 0)}:{user.get('gid', 0)}")
    if user.get("additionalGids"):
        draft.note(at.below("additionalGids"), REASONS["group_add"])
    if user.get("umask") is not None:
        draft.note(at.below("umask"), REASONS["umask"])


def _mount(draft: Draft, at: At, mount: dict[str, Any]) -> None:
    target, options = mount["destination"], list(mount.get("options") or ())
    kind = mount.get("type") or ("bind" if set(options) & set(_BINDS) else "")
    at = at._replace(name=f"{at.name} {target}") if len(target) < 60 else at
    if kind in _OWN or (kind == "tmpfs" and target.rstrip("/") in ("/dev", "/dev/shm")):
        return
    rest = [one for one in options if one.partition("=")[0] not in _SETTLED and one not in _QUIET]
    if kind in _BINDS or set(options) & set(_BINDS):
        source = mount.get("source") or ""
        if not source:
            draft.wrong(at, "the bind has no source", "write the host path as source")
            return
        path = source if source.startswith(("/", ".")) else f"./{source}"
        read_only = is_read_only(options)
        storage.add_mount(draft, at, "bind", path, target, read_only, rest)
    elif kind == "tmpfs":
        given = {name: text for name, _, text in (one.partition("=") for one in options)}
        most, mode = given.get("size"), given.get("mode", "")
        storage.make_tmpfs(draft, at, target, most, mode, rest, of_engine=False)
        if "ro" in options:
            draft.note(at, "a tmpfs is writable")
    else:
        draft.note(at, f"a mount of type {shown(kind)} has no counterpart: omitted")


def _network(draft: Draft, namespaces: list[dict[str, Any]]) -> None:
    at = _at("linux", "namespaces")
    own = [one for one in namespaces if one["type"] == "network"]
    if not own:
        network.set_network(draft, at, "host")
        return
    draft.network = {"mode": "none"}
    if own[0].get("path"):
        said = "a network that someone else has made cannot be joined: there is none in the box; "
        draft.note(at, said + "where it needs one, write network: {mode: passt}")
    else:
        draft.note(at, "a new network namespace has no connection: the box has no network")


def _resources(draft: Draft, resources: dict[str, Any]) -> None:
    at = _at("linux", "resources")
    for key, given in resources.items():
        if not isinstance(given, dict):
            rows = given if isinstance(given, list) else []
            if key != "devices":
                draft.note(at.below(key), REASONS["cgroup"])
            elif any(isinstance(row, dict) and row.get("allow") for row in rows):
                draft.note(at.below(key), REASONS["device"])
            continue
        left = {name: value for name, value in given.items() if value is not None}
        if key == "memory":
            limit = left.pop("limit", -1)
            if limit > 0:
                program.set_memory(draft, at.below(key).below("limit"), limit)
        elif key == "cpu":
            quota, period = left.pop("quota", -1), left.pop("period", 0) or _PERIOD
            if quota > 0:
                program.set_cpus(draft, at.below(key).below("quota"), quota / period)
        elif key == "pids":
            program.set_pids(draft, at.below(key).below("limit"), max(left.pop("limit", -1), -1))
        for name in left:
            draft.note(at.below(key).below(name), REASONS["cgroup"])


def _rest(draft: Draft, value: dict[str, Any]) -> None:
    """Tell of every key that nothing above has read."""
    for key, inner in value.items():
        if key in ("process", "root", "linux") and isinstance(inner, dict):
            for name, one in inner.items():
                _tell(draft, f"{key}.{name}", one)
        else:
            _tell(draft, key, inner)


def _tell(draft: Draft, key: str, value: Any) -> None:
    if key in BECOMES or value in (None, [], {}, "", False):
        return
    at = At(key if len(key) < 60 else shown(key))
    if key == "hooks" and isinstance(value, dict):
        for name in value:
            draft.note(at.below(name[:60]), REASONS["hook"])
        return
    draft.note(at, REASONS[TOLD[key]] if key in TOLD else _UNKNOWN)
