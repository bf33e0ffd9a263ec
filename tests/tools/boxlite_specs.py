"""What boxlite-shim 0.2.11 is given: a spec, and the same with changes."""

from __future__ import annotations

import copy
from typing import Any

SHARE = {"tag": "layers", "host_path": "DIR/share", "read_only": False}
DISK = {"block_id": "vda", "disk_path": "DIR/a.img", "read_only": False, "format": "Raw"}
BASE: dict[str, Any] = {
    "box_id": "b1",
    "fs_shares": {"shares": [SHARE]},
    "block_devices": {"devices": []},
    "guest_entrypoint": {
        "executable": "/boxlite/bin/boxlite-guest",
        "args": ["--listen", "unix:///run/g.sock", "--notify", "unix:///run/r.sock"],
        "env": [["RUST_LOG", "info"]],
    },
    "transport": {"Unix": {"socket_path": "DIR/grpc.sock"}},
    "ready_transport": {"Unix": {"socket_path": "DIR/ready.sock"}},
    "guest_rootfs": {"path": "DIR/root", "strategy": {"Extracted": {"layers": 2}}},
    "home_dir": "DIR/home",
    "exit_file": "DIR/home/exit",
    "detach": False,
    "parent_pid": 1,
}


def spec(**changes: Any) -> dict[str, Any]:
    """BASE with other values."""
    return {**copy.deepcopy(BASE), **changes}


def disks(*devices: dict[str, Any], root: Any = None) -> dict[str, Any]:
    """BASE with disks, and with the root on one of them."""
    changes: dict[str, Any] = {"block_devices": {"devices": list(devices)}}
    if root:
        changes["guest_rootfs"] = {"path": "DIR/root", "strategy": root}
    return spec(**changes)
