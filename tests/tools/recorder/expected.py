"""What a recording libkrun writes down of a plan, and what the plan asks of the host."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from krunc_schema import load
from locks import stored
from roots import runnable

CONTEXT = 42
# The directory of one launch has a name that nobody knows before.
LAUNCH = "launch-*"
VARIABLES = {"AGENT_TOKEN": "s3cret", "C": "s3cret"}


def expected(plan: dict[str, Any], base: Path, runtime: Path) -> list[dict[str, Any]]:
    """The calls of a PLAN as the recorder writes them, worked out from the API table alone."""
    table = load("krun")
    calls = []
    for row in plan["operations"]:
        if "call" not in row:
            continue
        args: list[Any] = []
        for param in table["functions"][row["call"]]["params"]:
            value = row.get("args", {}).get(param["name"])
            kind = param["kind"]
            if kind == "context":
                value = CONTEXT
            elif kind == "length":
                value = len(args[-1]) // 2
            elif value is None:
                pass
            elif kind == "enum":
                value = table["enums"][param["enum"]][value]["value"]
            elif kind == "flags":
                value = sum(table["flags"][param["flags"]][name]["value"] for name in value)
            elif kind in ("host_path", "socket_path"):
                if value.startswith("store:"):
                    value = f"{runtime.parent}/store/{value[6:].replace(':', '-')}.erofs"
                elif value.startswith("launch:"):
                    value = f"{runtime}/{LAUNCH}/{value[7:]}"
                elif value.startswith("runtime:"):
                    value = f"{runtime}/{value[8:]}"
                else:
                    value = os.path.normpath(base / value)
            elif kind == "env":
                value = [
                    f"{name}={text if isinstance(text, str) else VARIABLES.get(text.get('from_env', ''))}"
                    for name, text in value.items()
                ]
            elif kind == "rlimits":
                value = [
                    f"{table['enums']['rlimit'][name]['value']}={x}" for name, x in value.items()
                ]
            elif kind == "mac":
                value = value.replace(":", "")
            elif kind == "fd":
                value = param["named"][value] if isinstance(value, str) else value
            elif kind == "bytes":
                value = content(value).hex()
            args.append(value)
        calls.append({"call": row["call"], "args": args})
    return calls


def content(value: dict[str, Any]) -> bytes:
    """The bytes that libkrun is given."""
    ((kind, given),) = value.items()
    if kind == "process":
        env = [
            f"{name}={text if isinstance(text, str) else VARIABLES.get(text.get('from_env', ''))}"
            for name, text in given["env"].items()
        ]
        return json.dumps({**given, "env": env}, ensure_ascii=False).encode()
    if kind == "file":
        return CONTENT
    return base64.b64decode(given) if kind == "base64" else str(given).encode()


# What stands in each file that a box names.
CONTENT = b"what is in \xff it"
MAGIC = {".qcow2": b"QFI\xfb" + bytes(100), ".vmdk": b"KDMV"}


# What these are mounted at.
_AT_A_FILE = {"hostname": "etc/hosts", "host": "etc/hosts", "nameserver": "etc/resolv.conf"}


@contextmanager
def furnished(directory: Path, plan: dict[str, Any], runtime: Path) -> Iterator[None]:
    """Makes what the conditions of PLAN ask for; the sockets are served in the block."""
    with ExitStack() as held:
        _furnish(directory, plan, runtime, held)
        yield


def _furnish(directory: Path, plan: dict[str, Any], runtime: Path, held: ExitStack) -> None:
    root: Path | None = None
    shared: Path | None = None
    runtime.mkdir(mode=0o700)
    for row in plan["operations"]:
        path = Path(str(row.get("args", {}).get("path", "")))
        if str(path).startswith("runtime:"):
            path = runtime / str(path)[8:]
        if row.get("step") == "require_directory":
            (directory / path).mkdir(parents=True, exist_ok=True)
        if row.get("step") == "require_image":
            stored(runtime.parent / "store")
        if row.get("step") == "require_file":
            (directory / path).write_bytes(MAGIC.get(path.suffix, b"") + CONTENT)
        if row.get("call") == "krun_set_root" or row.get("args", {}).get("tag") == "/dev/root":
            args = row["args"]
            root = directory / args.get("root_path", args.get("path"))
        if row.get("args", {}).get("tag") == "krunc-root" and "path" in row["args"]:
            shared = directory / row["args"]["path"]
        program = row.get("args", {}).get("exec_path", "")
        place = shared or root
        if program.startswith("/") and place is not None:
            runnable(place, program)
        if row.get("order", "").startswith("mount_") and place is not None:
            (place / str(path)[1:]).mkdir(parents=True, exist_ok=True)
        if row.get("order") in _AT_A_FILE and place is not None:
            (place / "etc").mkdir(exist_ok=True)
            (place / _AT_A_FILE[row["order"]]).touch()
        if row.get("order") == "before" and place is not None:
            runnable(place, "/bin/sh")
        workdir = row.get("args", {}).get("workdir_path")
        data = row.get("args", {}).get("data", {})
        if place is not None and (workdir or "process" in data):
            workdir = workdir or data["process"]["cwd"]
            if "process" in data:
                runnable(place, data["process"]["args"][0])
            (place / workdir[1:]).mkdir(parents=True, exist_ok=True)
        if row.get("step") == "require_socket":
            kind = socket.SOCK_STREAM if row["args"]["type"] == "stream" else socket.SOCK_DGRAM
            server = held.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(str(path))
            if kind == socket.SOCK_STREAM:
                server.listen()
