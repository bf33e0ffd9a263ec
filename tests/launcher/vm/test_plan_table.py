"""Each function of the table that a plan may call, in each API: verified, replayed, and arriving
in C as the plan says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.plan.plan import required
from krunc_schema import load
from locks import ARCH
from recorder.fixtures import LAUNCHER
from recorder.source import functions

TABLE = load("krun")
CONTEXT = 42
HEAD = {
    "krunc_plan": 1,
    "box": "table",
    "box_digest": "sha256:" + "0" * 64,
}
PLANNED = [
    (era, name)
    for era in TABLE["eras"]
    for name, row in functions(era).items()
    if row["role"] in ("log", "create", "configure", "enter")
]


def sample(param: dict[str, Any], descriptor: int) -> Any:
    """An argument that the rule of PARAM allows; the largest where it has a size."""
    kind = param["kind"]
    if kind == "text":
        return param.get("prefix", "") + "a" * (param["max_bytes"] - len(param.get("prefix", "")))
    if kind == "fd":
        return next(reversed(param["named"]), descriptor)
    if kind == "int":
        # More memory than the host has, more vCPUs than libkrun numbers, and a user who may not
        # open /dev/kvm are refused.
        return {"ram_mib": 1024, "num_vcpus": 128, "uid": 0}.get(param["name"], param["max"])
    if param.get("enum") == "kernel_format":
        return TABLE["architectures"][ARCH]["kernel_formats"][-1]
    if kind == "enum":
        return list(TABLE["enums"][param["enum"]])[-1]
    if kind == "flags":
        return param.get("only") or list(TABLE["flags"][param["flags"]])
    return {
        "bool": True,
        "texts": ["a b", "-c", ""],
        "env": {"A": "b c", "D_1": ""},
        "rlimits": {"nofile": "1:18446744073709551615", "core": "0:0"},
        "port_map": ["1:1", "65535:2"],
        "mac": "5a:94:ef:e4:0c:ee",
        "host_path": "a \u00e9/../b",
        "socket_path": "/tmp/s.sock",
        "bytes": {"base64": base64.b64encode(b"\x00\xff\n").decode()},
        "u16s": [1, 32768],
    }[kind]


def arguments(row: dict[str, Any], descriptor: int) -> dict[str, Any]:
    """All arguments that a plan gives a function."""
    params = [param for param in row["params"] if param["kind"] not in ("context", "length")]
    args = {param["name"]: sample(param, descriptor) for param in params}
    for param in params:
        if "count" in param:
            args[param["count"]] = len(args[param["name"]])
    if row["params"] and row["params"][-1].get("name") == "cmdline":
        args["cmdline"] = "console=hvc0"
    return args


def calls(era: str, name: str, descriptor: int) -> list[dict[str, Any]]:
    """The call of a function and the calls that it needs before it."""
    row = TABLE["functions"][name]
    found: list[dict[str, Any]] = []
    for need in row.get("needs", ()):
        if need.get("era", era) == era and "with" not in need:
            known = functions(era)
            found += calls(era, next(one for one in need["any"] if one in known), descriptor)
    args = arguments(row, descriptor)
    return [*found, {"call": name, **({"args": args} if args else {}), "from": "default"}]


def implied(era: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What libkrun does by itself beside ROWS."""
    tokens = {row["call"] for row in rows}
    for row in rows:
        for name, value in row.get("args", {}).items():
            values = value if isinstance(value, list) else [value]
            tokens |= {f"{row['call']}.{name}={item}" for item in values}
    return [
        {"implicit": row["name"], "from": "default"}
        for row in TABLE["implicit"]
        if era in row["eras"]
        and not tokens & set(row.get("unless", ()))
        and all(tokens & set(group) for group in row.get("when", ()))
    ]


def demanded(rows: list[dict[str, Any]], directory: Path) -> list[dict[str, Any]]:
    """The conditions of ROWS, and what they demand made in DIRECTORY."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for param in TABLE["functions"][row["call"]]["params"]:
            value = row.get("args", {}).get(param["name"])
            if param["kind"] != "host_path" or param["opens"] == "make":
                continue
            path = Path(os.path.normpath(directory / value))
            step = "require_directory" if param["target"] == "directory" else "require_file"
            if step == "require_directory":
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(b"KDMV" if "disk_format" in row["args"] else b"")
            reads = param["opens"] == "read" or row["args"].get("read_only")
            args = {"path": value, "access": "read" if reads else "read-write"}
            found[value] = {"step": step, "args": args, "from": "default"}
    return list(found.values())


def arrived(row: dict[str, Any], base: Path) -> dict[str, Any]:
    """The line that the recorder writes for an operation."""
    args = []
    for param in TABLE["functions"][row["call"]]["params"]:
        value = row.get("args", {}).get(param["name"])
        if param["kind"] == "context":
            value = CONTEXT
        elif param["kind"] == "length":
            value = len(base64.b64decode(row["args"][param["of"]]["base64"]))
        elif param["kind"] == "enum":
            value = TABLE["enums"][param["enum"]][value]["value"]
        elif param["kind"] == "flags":
            value = sum(TABLE["flags"][param["flags"]][name]["value"] for name in value)
        elif param["kind"] in ("host_path", "socket_path"):
            value = os.path.normpath(base / value)
        elif param["kind"] == "env":
            value = [f"{name}={text}" for name, text in value.items()]
        elif param["kind"] == "rlimits":
            numbers = TABLE["enums"][param["enum"]]
            value = [f"{numbers[name]['value']}={limit}" for name, limit in value.items()]
        elif param["kind"] == "mac":
            value = value.replace(":", "")
        elif param["kind"] == "fd":
            value = param["named"].get(value, value)
        elif param["kind"] == "bytes":
            value = base64.b64decode(value["base64"]).hex()
        args.append(value)
    return {"call": row["call"], "args": args}


@pytest.mark.parametrize(("era", "name"), PLANNED, ids=lambda value: value)
def test_function(
    era: str, name: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    if ARCH not in TABLE["functions"][name].get("on", [ARCH]):
        pytest.skip("another architecture's alone")
    role = TABLE["functions"][name]["role"]
    create = {"call": "krun_create_ctx", "from": "default"}
    with (tmp_path / "descriptor").open("w") as file:
        tested = calls(era, name, file.fileno()) if role in ("log", "configure") else []
        rows = [*tested, create] if role == "log" else [create, *tested]
        operations = [
            {"step": "require_hypervisor", "from": "default"},
            *demanded(rows, tmp_path),
            *rows,
            *implied(era, rows),
            {"call": "krun_start_enter", "from": "default"},
        ]
        family = str(TABLE["eras"][era]["family"])
        requires = {**required(era, operations), "because": []}
        plan = {
            **HEAD,
            "requires": requires,
            "target": family,
            "api": era,
            "operations": operations,
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        done = subprocess.run(
            [*LAUNCHER, "--libkrun", str(build(era)), str(tmp_path / "plan.json")],
            env={
                **os.environ,
                "LD_PRELOAD": str(fake_kvm),
                "KRUN_RECORDER": str(tmp_path / "calls"),
                "KRUN_RECORDER_EXIT": "7",
            },
            capture_output=True,
            text=True,
            pass_fds=[file.fileno()],
        )
    assert (done.returncode, done.stderr) == (7, "")
    seen = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    for call in seen:
        call.pop("nofile", None)
    assert seen == [arrived(row, tmp_path) for row in operations if "call" in row]
