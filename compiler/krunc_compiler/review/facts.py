"""What a plan lets a VM do, read off its operations alone.

It shares nothing with the lowering that made the plan, so a plan edited by hand shows what it
would do. A call that has no reading here is shown as it is: nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from krunc_compiler import api
from krunc_compiler.plan import Plan

ROOT_TAG = "/dev/root"
_COMPAT = ["csum", "guest_csum", "guest_tso4", "guest_ufo", "host_tso4", "host_ufo"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line for the reader; `kind` groups it and `origin` is the key of the box."""

    kind: str
    text: str
    origin: str


@dataclass(slots=True)
class Facts:
    """What the VM is, and what of the host it can reach."""

    machine: list[Fact] = field(default_factory=list)
    exposure: list[Fact] = field(default_factory=list)

    def vm(self, kind: str, text: str, origin: str) -> None:
        self.machine.append(Fact(kind, text, origin))

    def host(self, kind: str, text: str, origin: str) -> None:
        self.exposure.append(Fact(kind, text, origin))


# Worst first; show and diff sort by it.
EXPOSURE = ("writes", "network", "listens", "connects", "secrets", "reads", "other")


def facts(plan: Plan) -> Facts:
    """The facts of PLAN, exposure with the worst first."""
    found = Facts()
    for row in plan.operations:
        args, origin = row.get("args", {}), row["from"]
        if "implicit" in row:
            _implicit(found, row["implicit"], origin)
        elif row.get("step") == "open_file":
            found.host("writes", f"file {args['path']} ({args['name']})", origin)
        elif "call" in row:
            reading = _READINGS.get(row["call"])
            if reading is not None:
                reading(found, args, origin)
            elif api.functions()[row["call"]].role == "configure":
                found.host("other", f"{row['call']} {args}", origin)
    found.exposure.sort(key=lambda fact: EXPOSURE.index(fact.kind))
    return found


def _implicit(found: Facts, name: str, origin: str) -> None:
    match name:
        case "vsock_with_tsi":
            found.host("network", _TSI, origin)
        case "all_guest_ports_published":
            found.host("listens", "every port that the guest listens on is opened here", origin)
        case "no_network":
            found.vm("network", "none", origin)
        case "console_on_stdio":
            found.vm("console", "the launcher's stdin, stdout and stderr", origin)
        case _:
            pass


_TSI = "TSI: the guest connects wherever the launching user can, localhost included"


def _folder(found: Facts, tag: str, path: str, read_only: bool, origin: str) -> None:
    what = "the guest's root" if tag == ROOT_TAG else f"share {tag}"
    if tag == ROOT_TAG:
        mode = "read-only" if read_only else "the guest can write to it"
        found.vm("root", f"folder {path}, {mode}", origin)
    found.host("reads" if read_only else "writes", f"folder {path} ({what})", origin)


def _disk(found: Facts, args: dict[str, Any], origin: str) -> None:
    kind = "reads" if args.get("read_only") else "writes"
    shape = args.get("disk_format", "raw")
    found.host(kind, f"{shape} disk {args['disk_path']} ({args['block_id']})", origin)


def _root_disk(found: Facts, args: dict[str, Any], origin: str) -> None:
    options = f", options {args['options']}" if args["options"] else ""
    found.vm("root", f"disk {args['device']}, {args['fstype']}{options}", origin)
    # Seen in boots of 1.16.0 and 2.0-dev: the status travels over the root share, which is absent.
    found.vm("status", "0 whatever the program ends with", origin)


def _program(found: Facts, args: dict[str, Any], origin: str) -> None:
    words = [args["exec_path"], *args["argv"]]
    found.vm("program", " ".join(map(_word, words)), origin)
    for name, value in args["envp"].items():
        if isinstance(value, dict):
            found.vm("env", f"{name} from the launcher's {value['from_env']}", origin)
            found.host("secrets", f"variable {value['from_env']} as {name}", origin)
        else:
            found.vm("env", f"{name}={value}", origin)


def _word(text: str) -> str:
    plain = text and all(c.isalnum() or c in "-_./:=,+@%" for c in text)
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def _port(found: Facts, args: dict[str, Any], origin: str) -> None:
    if args["listen"]:
        found.host("listens", f"socket {args['filepath']} to vsock port {args['port']}", origin)
    else:
        text = f"socket {args['filepath']} from vsock port {args['port']}"
        found.host("connects", text, origin)


def _device(found: Facts, args: dict[str, Any], origin: str) -> None:
    features = args["features"]
    offloads = "libkrun's usual" if features == _COMPAT else ", ".join(features) or "no"
    found.vm("network", f"device {args['mac']}, {offloads} offloads", origin)
    found.host("network", f"through the program behind socket {args['path']}", origin)


def _port_map(found: Facts, args: dict[str, Any], origin: str) -> None:
    for text in args["port_map"]:
        host, guest = text.split(":")
        found.host("listens", f"TCP port {host} to guest port {guest}", origin)


def _vsock(found: Facts, args: dict[str, Any], origin: str) -> None:
    for feature in args["tsi_features"]:
        text = _TSI if feature == "hijack_inet" else "TSI: the host's Unix sockets"
        found.host("network", text, origin)


def _console(found: Facts, args: dict[str, Any], origin: str) -> None:
    streams = [value for value in args.values() if isinstance(value, str) and value != "none"]
    if streams:
        found.vm("console", "the launcher's " + ", ".join(streams), origin)
    if any(isinstance(value, dict) for value in args.values()):
        found.vm("console", "a file, see open_file", origin)


def _output(found: Facts, args: dict[str, Any], origin: str) -> None:
    found.vm("console", f"the file {args['filepath']}, no input", origin)
    found.host("writes", f"file {args['filepath']} (console)", origin)


def _machine(found: Facts, args: dict[str, Any], origin: str) -> None:
    found.vm("vCPUs", str(args["num_vcpus"]), origin)
    found.vm("memory", f"{args['ram_mib']} MiB", origin)


def _limits(found: Facts, args: dict[str, Any], origin: str) -> None:
    text = ", ".join(f"{name} {limit}" for name, limit in args["rlimits"].items())
    found.vm("limits", text or "the guest kernel's", origin)


_READINGS: dict[str, Callable[[Facts, dict[str, Any], str], None]] = {
    "krun_set_vm_config": _machine,
    "krun_set_root": lambda f, a, o: _folder(f, ROOT_TAG, a["root_path"], False, o),
    "krun_add_virtiofs": lambda f, a, o: _folder(f, a["tag"], a["path"], False, o),
    "krun_add_virtiofs2": lambda f, a, o: _folder(f, a["tag"], a["path"], False, o),
    "krun_add_virtiofs3": lambda f, a, o: _folder(f, a["tag"], a["path"], a["read_only"], o),
    "krun_add_disk": _disk,
    "krun_add_disk2": _disk,
    "krun_set_root_disk_remount": _root_disk,
    "krun_set_exec": _program,
    "krun_set_workdir": lambda f, a, o: f.vm("workdir", a["workdir_path"], o),
    "krun_set_rlimits": _limits,
    "krun_add_vsock_port2": _port,
    "krun_add_net_unixstream": _device,
    "krun_add_net_unixgram": _device,
    "krun_set_port_map": _port_map,
    "krun_add_vsock": _vsock,
    "krun_disable_implicit_vsock": lambda f, a, o: None,
    "krun_set_console_output": _output,
    "krun_add_virtio_console_default": _console,
}
