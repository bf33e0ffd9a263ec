"""The orders of a plan, and the calls by which the VM starts with the stage that follows them."""

from __future__ import annotations

from krunc_launcher._rules import FUNCTIONS, MEANT, OPENING
from krunc_launcher._stage_rules import ROOT_TAG, STAGE
from krunc_launcher.errors import shown
from krunc_launcher.plan.rows import ROWS
from krunc_launcher.plan.sequence import opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.sequence import Staged
    from krunc_launcher.plan.text import Findings, Given, Path

_TAGS = "virtiofs tag"
_LOOKED_AT = {"lay_stage", "report", *MEANT["program"], *MEANT["workdir"], *MEANT["laid_in"]}


def check(
    operations: list[dict[str, Any]], given: list[Given], staged: Staged, found: Findings
) -> None:
    """Append what is wrong with the orders of OPERATIONS, each of which is well by itself, GIVEN
    the parameters of each; STAGED is what `together` returns."""
    kinds, names, _ = staged
    orders = [i for i, kind in enumerate(kinds) if kind == "order"]
    _in_order(names, orders, found)
    _wired(operations, staged, found)
    _named(operations, staged, given, found)


def _in_order(names: list[str], orders: list[int], found: Findings) -> None:
    """Check that the ORDERS, of operations with these NAMES, stand in the order of their ranks, in
    which the stage can follow them, and without anything between them."""
    rows, last, behind = ROWS["order"], 0, -1
    for i in orders:
        name, rank = names[i], rows[names[i]]["rank"]
        if rank < last:
            found.append((("operations", i), f"the order {name} is before those of a later kind"))
        if behind not in (-1, i):
            found.append((("operations", i), "the orders have to be next to each other"))
        last, behind = max(last, rank), i + 1
    given = [names[i] for i in orders]
    for name in STAGE["required"]:
        if name not in given:
            found.append((("operations",), f"the order {name} is missing"))
    if sum(map(given.count, STAGE["roots"])) != 1:
        what = f"expected exactly one of the orders {' and '.join(STAGE['roots'])}"
        found.append((("operations",), what))


def _wired(operations: list[dict[str, Any]], staged: Staged, found: Findings) -> None:
    """Check that the VM's first program is the stage, from its own directory, which is the root;
    that its report leads to the launcher, and that nothing else of the plan touches these."""
    _, names, touching = staged
    program, orders = STAGE["program"]
    root, socket, port = STAGE["root"], STAGE["socket"], STAGE["port"]
    wanted, laid = {"program": 0, "root": 0, "socket": 0}, False
    for i, name in enumerate(names):
        if name not in _LOOKED_AT or "implicit" in operations[i]:
            continue
        path: Path = ("operations", i, "args")
        args, said = operations[i]["args"], ""
        if name in MEANT["program"]:
            wanted["program"] += 1
            if args != {"exec_path": program, "argv": [orders], "envp": {}}:
                said = f"the stage is started as {program} {orders}"
        elif name in MEANT["workdir"] and args[MEANT["workdir"][name]] != "/":
            said = "the stage starts in /"
        elif name in MEANT["laid_in"] and args[MEANT["laid_in"][name]] == ROOT_TAG:
            path, said = path[:2], "nothing can be merged onto the stage's own directory"
        elif name == "report" and args["port"] != port:
            path, said = (*path, "port"), f"the stage reports on port {port}"
        elif name == "lay_stage":
            laid, path = True, (*path, "path")
            said = "" if args["path"] == root else f"the stage lies in {root}"
        if said:
            found.append((path, said))
    for i, param, value in touching:
        row = operations[i]
        if value == root and param.get("target") == "directory" and _is_root(row):
            wanted["root"] += 1
        elif "call" in row and value == socket and param["kind"] == "socket_path":
            if row["args"]["port"] == port and opening(param, row["args"]) == "connect":
                wanted["socket"] += 1
        elif "order" not in row and row.get("step") != "lay_stage":
            what = f"{shown(value)} is the launch's own; only the stage uses it"
            found.append((("operations", i, "args", param["name"]), what))
    one = "expected exactly one call for the stage's"
    found += [(("operations",), f"{one} {what}") for what, n in wanted.items() if n != 1]
    if not laid:
        found.append((("operations",), "lay_stage is missing before the first call"))
    if "init" not in names:
        found.append((("operations",), "the stage is started by libkrun's own init"))


def _is_root(row: dict[str, Any]) -> bool:
    """Tell whether the call of ROW shares the directory that is the VM's root."""
    rule = FUNCTIONS[row["call"]]
    tags = [row["args"][one["name"]] for one in rule["params"] if one.get("unique") == _TAGS]
    return ROOT_TAG in (*tags, *(tag for space, tag in rule.get("takes", ()) if space == _TAGS))


def _named(
    operations: list[dict[str, Any]], staged: Staged, given: list[Given], found: Findings
) -> None:
    """Check that the orders of OPERATIONS mount what the calls attach, and write only where these
    let them."""
    shares: dict[str, bool] = {}
    disks: list[bool] = []
    kinds, names, _ = staged
    for i, name in enumerate(names):
        for param, value in given[i] if name in OPENING else ():
            if param.get("unique") == _TAGS:
                shares[value] = operations[i]["args"].get("read_only") is True
            elif param.get("target") == "disk":
                disks.append(operations[i]["args"].get("read_only") is True)
    for i, kind in enumerate(kinds):
        for param, value in given[i] if kind == "order" else ():
            if "names" in param:
                path: Path = ("operations", i, "args", param["name"])
                read_only = _disk(value, disks) if param["names"] == "disk" else shares.get(value)
                if read_only is None or value == ROOT_TAG:
                    found.append((path, f"no call of the plan attaches {shown(value)}"))
                elif read_only and operations[i]["args"].get("access", "read-write") != "read":
                    found.append((path, f"{shown(value)} is attached read-only"))


def _disk(device: str, disks: list[bool]) -> bool | None:
    """Tell whether the disk with DEVICE, or the partition on it, is read-only; None without one."""
    letters = device.removeprefix("/dev/vd").rstrip("0123456789")
    place = 0  # vda to vdz, then vdaa
    for letter in letters:
        place = place * 26 + (
            ord(letter) - ord("a") + 1 if "a" <= letter <= "z" else len(disks) + 1
        )
    return disks[place - 1] if device.startswith("/dev/vd") and 0 < place <= len(disks) else None
