"""BoxLite's InstanceSpec as a box, with a note for everything that has no counterpart.

The box compiles to the calls that BoxLite's engine makes for the same spec.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from krunc_compiler.files.hostpath import plain
from krunc_compiler.findings.finding import Finding
from krunc_compiler.findings.wording import shown
from krunc_compiler.libkrun import disk_name

# What BoxLite's engine uses where the spec says nothing, and its fixed working directory.
_CPUS, _MEMORY_MIB, _WORKDIR = 4, 4096, "/boxlite"
_FORMATS = {"Raw": "raw", "Qcow2": "qcow2"}
_READ = {
    "box_id", "cpus", "memory_mib", "fs_shares", "block_devices", "guest_entrypoint", "transport",
    "ready_transport", "guest_rootfs", "network_config", "disable_network", "console_output",
}  # fmt: skip
# How BoxLite makes a root (Strategy in its rootfs/guest.rs); all but Disk leave a directory.
_STRATEGIES = ("Direct", "Extracted", "OverlayMount", "Disk")
# Fields that mean nothing to a box, and why.
_LEFT_OUT = {
    "engine": "a box is always for libkrun",
    "security": "krunc launch confines the VM as its own options say",
    "home_dir": "runtime: paths name the directory of a run",
    "exit_file": "krunc launch ends with the guest's exit status",
    "detach": "a supervisor keeps krunc launch running",
    "parent_pid": "a supervisor watches krunc launch",
}


class Imported(NamedTuple):
    """A box's value in the order in which it is written, and notes on what it does not hold."""

    value: dict[str, Any]
    notes: list[str]


def convert(spec: dict[str, Any]) -> tuple[Imported, list[Finding]]:
    """Return the box of a checked SPEC, and what cannot be said in a box."""
    notes: list[str] = []
    findings: list[Finding] = []
    disks = (spec.get("block_devices") or {}).get("devices") or []
    engine = spec.get("engine", "Libkrun")
    if engine not in ("Libkrun", None):
        message = f"the spec is for the engine {shown(engine)}, and a box is for libkrun"
        findings.append(Finding("KR511", message, ("engine",), "write Libkrun"))
    value: dict[str, Any] = {"krunc": 1, "name": _name(spec["box_id"], notes)}
    value["machine"] = {
        "cpus": _CPUS if spec.get("cpus") is None else spec["cpus"],
        "memory": f"{_MEMORY_MIB if spec.get('memory_mib') is None else spec['memory_mib']}MiB",
    }
    value["rootfs"] = _root(spec["guest_rootfs"], disks, notes, findings)
    shares = (spec.get("fs_shares") or {}).get("shares") or []
    if shares:
        value["shares"] = [
            {"tag": s["tag"], "path": plain(s["host_path"]), "read_only": s["read_only"]}
            for s in shares
        ]
    if disks:
        value["disks"] = [
            {
                "id": disk["block_id"],
                "path": plain(disk["disk_path"]),
                "format": _FORMATS[disk["format"]],
                "read_only": disk["read_only"],
            }
            for disk in disks
        ]
    value["network"] = _network(spec, notes)
    value["agent"] = {
        "listen": plain(spec["transport"]["Unix"]["socket_path"]),
        "notify": plain(spec["ready_transport"]["Unix"]["socket_path"]),
    }
    value["entrypoint"] = _entrypoint(spec["guest_entrypoint"], notes)
    if spec.get("console_output") is not None:
        value["console"] = {"output": plain(spec["console_output"])}
    for key in spec:
        if key not in _READ:
            notes.append(f"{key}: {_LEFT_OUT.get(key, 'unknown to this version of krunc')}")
    return Imported(value, notes), findings


def _name(box_id: str, notes: list[str]) -> str:
    name = re.sub(r"[^a-z0-9_.-]", "-", box_id.lower()).lstrip("-_.")[:63] or "box"
    if name != box_id:
        notes.append(f"box_id: {box_id!r} became the name {name}")
    return name


def _root(
    root: dict[str, Any], disks: list[dict[str, Any]], notes: list[str], findings: list[Finding]
) -> dict[str, Any]:
    strategy = root["strategy"]
    kind = strategy if isinstance(strategy, str) else next(iter(strategy), "")
    if kind not in _STRATEGIES:
        message = f"a root that is made by {shown(kind)} is not known"
        hint = f"write one of: {', '.join(_STRATEGIES)}"
        findings.append(Finding("KR511", message, ("guest_rootfs", "strategy"), hint))
        return {"path": plain(root["path"])}
    disk = strategy.get("Disk") if isinstance(strategy, dict) else None
    device = disk.get("device_path") if disk else None
    if disk is None or device is None:
        notes.append(f"guest_rootfs.strategy: {kind}: the directory is taken unchanged")
        return {"path": plain(root["path"])}
    names = [disk_name(i) for i in range(len(disks))]
    whole = re.match("/dev/vd[a-z]+", device)
    number = names.index(whole[0]) if whole and whole[0] in names else -1
    if number < 0:
        paths = [candidate["disk_path"] for candidate in disks]
        number = paths.index(disk["disk_path"]) if disk.get("disk_path") in paths else -1
    if number < 0:
        where = ("guest_rootfs", "strategy", "Disk", "device_path")
        hint = f"name one of the block devices: {', '.join(names) or 'none'}"
        findings.append(Finding("KR511", f"no block device is {device}", where, hint))
        return {"path": plain(root["path"])}
    return {"disk": disks[number]["block_id"], "device": device, "fstype": "ext4"}


def _network(spec: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    config = spec.get("network_config")
    if config is not None:
        notes.append(
            "network_config: BoxLite's shim serves the socket itself; start a network backend "
            "(gvproxy, passt) on it before krunc launch"
        )
        if config.get("port_mappings"):
            ports = ", ".join(":".join(map(str, pair)) for pair in config["port_mappings"])
            notes.append(f"network_config.port_mappings: {ports}: for that program to open")
        return {"mode": "unixstream", "socket": plain(config["socket_path"])}
    if spec.get("disable_network"):
        return {"mode": "none"}
    # BoxLite never calls krun_set_port_map, and libkrun then opens every port.
    return {"mode": "tsi", "ports": "all"}


def _entrypoint(program: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {"executable": program["executable"]}
    if program["args"]:
        value["args"] = list(program["args"])
    env: dict[str, str] = {}
    for name, text in program["env"]:
        if name in env:
            notes.append(f"guest_entrypoint.env: {name} is there twice; the last one is taken")
        env[name] = text
    if env:
        value["env"] = env
    return {**value, "workdir": _WORKDIR}
