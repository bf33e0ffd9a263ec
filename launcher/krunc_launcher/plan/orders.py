"""The orders of a plan, and the calls by which the VM starts with the stage that follows them."""

from __future__ import annotations

from krunc_launcher._rules import FUNCTIONS, MEANT
from krunc_launcher._stage_rules import ORDERS, STAGE
from krunc_launcher.errors import shown
from krunc_launcher.plan.rows import parameters
from krunc_launcher.plan.sequence import opening
from krunc_launcher.plan.text import LAUNCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Path

_TAGS = "virtiofs tag"
_ROOT = 1  # the rank of those that say what the root is


def check(operations: list[dict[str, Any]], found: Findings) -> None:
    """Append what is wrong with the orders of OPERATIONS, each of which is well by itself."""
    _in_order(operations, found)
    _wired(operations, found)
    _named(operations, found)


def _in_order(operations: list[dict[str, Any]], found: Findings) -> None:
    """Check that orders stand in the order of their ranks, in which the stage can follow them,
    behind the program's call and without anything between them."""
    orders = [(i, row["order"]) for i, row in enumerate(operations) if "order" in row]
    last = 0
    for at, (i, name) in enumerate(orders):
        path: Path = ("operations", i)
        rank = ORDERS[name]["rank"]
        if rank < last:
            found.append((path, f"the order {name} is before those of a later kind"))
        if at and i != orders[at - 1][0] + 1:
            found.append((path, "the orders have to be next to each other"))
        last = max(last, rank)
    names = [name for _, name in orders]
    for name, rule in ORDERS.items():
        if rule.get("required") and name not in names:
            found.append((("operations",), f"the order {name} is missing"))
    roots = [name for name in names if ORDERS[name]["rank"] == _ROOT]
    if len(roots) != 1:
        which = " and ".join(name for name, rule in ORDERS.items() if rule["rank"] == _ROOT)
        found.append((("operations",), f"expected exactly one of the orders {which}"))


def _wired(operations: list[dict[str, Any]], found: Findings) -> None:
    """Check that the VM's first program is the stage, from its own directory, which is the root;
    that its report leads to the launcher, and that nothing else of the plan touches these."""
    program, orders = STAGE["program"]
    wanted: dict[str, list[dict[str, Any]]] = {"program": [], "root": [], "socket": []}
    for i, row in enumerate(operations):
        name, args = row.get("call", ""), row.get("args", {})
        path: Path = ("operations", i)
        if name in MEANT["program"]:
            wanted["program"].append(row)
            if args != {"exec_path": program, "argv": [orders], "envp": {}}:
                found.append(((*path, "args"), f"the stage is started as {program} {orders}"))
        elif name in MEANT["workdir"] and args[MEANT["workdir"][name]] != "/":
            found.append(((*path, "args"), "the stage starts in /"))
        elif name in MEANT["laid_in"] and args[MEANT["laid_in"][name]] == _root_tag():
            found.append((path, "nothing can be merged onto the stage's own directory"))
        lays = row.get("step") == "lay_stage"
        if lays and args["path"] != STAGE["root"]:
            found.append(((*path, "args", "path"), f"the stage lies in {STAGE['root']}"))
        for param, value in () if lays or "order" in row else parameters(row):
            if value == STAGE["root"] and param.get("target") == "directory" and _is_root(row):
                wanted["root"].append(row)
            elif name and value == STAGE["socket"] and param["kind"] == "socket_path":
                if args["port"] == STAGE["port"] and opening(param, args) == "connect":
                    wanted["socket"].append(row)
            elif type(value) is str and value.startswith(LAUNCH):
                what = f"{shown(value)} is the launch's own; only the stage uses it"
                found.append(((*path, "args", param["name"]), what))
        if row.get("order") == "report" and args["port"] != STAGE["port"]:
            found.append(((*path, "args", "port"), f"the stage reports on port {STAGE['port']}"))
    for what, rows in wanted.items():
        if len(rows) != 1:
            found.append((("operations",), f"expected exactly one call for the stage's {what}"))
    if not any(row.get("step") == "lay_stage" for row in operations):
        found.append((("operations",), "lay_stage is missing before the first call"))
    if not any(row.get("implicit") == "init" for row in operations):
        found.append((("operations",), "the stage is started by libkrun's own init"))


def _root_tag() -> str:
    tags: list[str] = [
        tag for rule in FUNCTIONS.values() for space, tag in rule.get("takes", ()) if space == _TAGS
    ]
    return tags[0]


def _is_root(row: dict[str, Any]) -> bool:
    """Tell whether the call of ROW shares the directory that is the VM's root."""
    rule = FUNCTIONS[row["call"]]
    tags = [tag for space, tag in rule.get("takes", ()) if space == _TAGS]
    tags += [value for param, value in parameters(row) if param.get("unique") == _TAGS]
    return _root_tag() in tags


def _named(operations: list[dict[str, Any]], found: Findings) -> None:
    """Check that orders mount what the calls attach, and write only where these let them."""
    shares: dict[str, bool] = {}
    disks: list[bool] = []
    for row in operations:
        for param, value in parameters(row) if "call" in row else ():
            if param.get("unique") == _TAGS:
                shares[value] = row["args"].get("read_only") is True
            if param.get("target") == "disk":
                disks.append(row["args"].get("read_only") is True)
    for i, row in enumerate(operations):
        for param, value in parameters(row) if "order" in row else ():
            if "names" not in param:
                continue
            path: Path = ("operations", i, "args", param["name"])
            is_disk = param["names"] == "disk"
            read_only = _disk(value, disks) if is_disk else shares.get(value)
            if read_only is None or value == _root_tag():
                found.append((path, f"no call of the plan attaches {shown(value)}"))
            elif read_only and row["args"].get("access", "read-write") != "read":
                found.append((path, f"{shown(value)} is attached read-only"))


def _disk(device: str, disks: list[bool]) -> bool | None:
    """Tell whether the disk with DEVICE, or the partition on it, is read-only; None without one."""
    letter = device.removeprefix("/dev/vd").rstrip("0123456789")
    place = ord(letter) - ord("a") if len(letter) == 1 else -1
    return disks[place] if device.startswith("/dev/vd") and 0 <= place < len(disks) else None
