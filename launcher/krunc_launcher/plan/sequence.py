"""What no operation of a plan shows alone: order, repetition, needs, what is implied."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import (
    DEVICES,
    FUNCTIONS,
    GUEST_CONFIGURATION,
    IMPLICIT,
    IMPLYING,
    LIMITS,
    MEANT,
    OPENED,
    REQUIRED,
    ROLES,
    STEPS,
)
from krunc_launcher.errors import shown
from krunc_launcher.plan import needs
from krunc_launcher.plan.rows import ROWS, kind_of
from krunc_launcher.plan.text import LAUNCH, STORE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Given, Path

    Staged = tuple[list[str], list[str], list[tuple[int, dict[str, Any], str]]]

_OF_A_FILE = "name of an opened file"
_OF_THE_STAGE = ("lay_stage", "pass_sigterm")


def together(plan: dict[str, Any], given: list[Given], found: Findings) -> Staged | None:
    """Append what is wrong with the operations of PLAN, each of which is well by itself, GIVEN the
    parameters of each; return, if it has the stage, kinds, names and the launch's paths."""
    operations, era = plan["operations"], plan["api"]
    kinds = list(map(kind_of, operations))
    every = [row[kind] for row, kind in zip(operations, kinds, strict=True)]
    names = set(every)
    _order(operations, found)
    _confined(operations, every, found)
    seen: set[str] = set()
    unique = _taken(operations)
    opened: set[str] = set()
    touching = []
    for i, kind in enumerate(kinds):
        if kind == "implicit":
            continue
        path: Path = ("operations", i)
        name, rule = every[i], ROWS[kind][every[i]]
        if name in seen and rule["repeat"] == "once":
            found.append((path, f"{name} is allowed only once"))
        for other in rule.get("excludes", ()):
            if other in names:
                found.append((path, f"{name} and {other} cannot both be in one plan"))
        for need in rule.get("needs", ()):
            applies = need.get("era", era) == era and need.get("with", name) in names
            if applies and seen.isdisjoint(need["any"]):
                found.append((path, f"{name} needs {' or '.join(need['any'])} before it"))
        seen.add(name)
        for param, value in given[i]:
            said = ""
            if "unique" in param and value is not None:
                taken = system.normpath(value) if param["kind"] == "socket_path" else value
                if (first := unique.setdefault((param["unique"], taken), i)) != i:
                    said = f"the {param['unique']} {shown(value)} is that of operations[{first}]"
                if param["unique"] == _OF_A_FILE:
                    opened.add(value)
            if type(value) is str and value.startswith(LAUNCH):
                touching.append((i, param, value))
            elif param["kind"] == "fd" and type(value) is dict and value["opened"] not in opened:
                said = f"no open_file before it opens {shown(value['opened'])}"
            if said:
                found.append(((*path, "args", param["name"]), said))
    for name in REQUIRED:
        if name not in seen:
            found.append((("operations",), f"{name} is missing before the first call"))
    _implied(operations, era, found)
    _conditions(operations, given, found)
    _served(operations, found)
    _configuration(operations, names, found)
    most, count = LIMITS["virtio_devices"], devices(every)
    if not found and count > most:
        what = f"{count} virtio devices, libkrun's own among them"
        found.append((("operations",), f"{what}; a machine has room for {most}"))
    needs.check(plan, given, found)
    staged = touching or "order" in kinds or not seen.isdisjoint(_OF_THE_STAGE)
    return (kinds, every, touching) if staged else None


def _taken(operations: list[dict[str, Any]]) -> dict[tuple[str, Any], int]:
    """Return the names that calls take for what they make themselves, and these operations."""
    return {
        (space, value): i
        for i, row in enumerate(operations)
        if "call" in row
        for space, value in FUNCTIONS[row["call"]].get("takes", ())
    }


def _order(operations: list[dict[str, Any]], found: Findings) -> None:
    created = called = False
    roles = []
    for i, row in enumerate(operations):
        path: Path = ("operations", i)
        if "step" in row and STEPS[row["step"]]["phase"] == "precondition" and called:
            found.append((path, f"{row['step']} is before the first call"))
        if "call" not in row:
            continue
        called = True
        role = FUNCTIONS[row["call"]]["role"]
        roles.append(role)
        if role == "log" and created:
            found.append((path, f"{row['call']} is before {ROLES['create']}"))
        if role in ("configure", "enter") and not created:
            found.append((path, f"{row['call']} needs {ROLES['create']} before it"))
        if role == "enter" and i != len(operations) - 1:
            found.append((path, f"nothing is allowed behind {row['call']}"))
        created = created or role == "create"
    if "enter" not in roles:
        found.append((("operations",), f"{ROLES['enter']} is missing at the end"))


def _confined(operations: list[dict[str, Any]], names: list[str], found: Findings) -> None:
    """Check that no thread stands before a last step, and only threads, notes, the entry behind."""
    threads: list[int] = []
    end, free = "", "or the thread that it starts is not confined"
    for i, row in enumerate(operations):
        step = STEPS[names[i]] if "step" in row else {}
        if "last" in step and not end:
            end = names[i]
            found += [(("operations", j), f"{names[j]} is behind {end}, {free}") for j in threads]
        elif "threads" in step:
            threads.append(i)
        elif end and not ("implicit" in row or names[i] == ROLES["enter"]):
            found.append((("operations", i), f"{names[i]} is before {end}"))


def _implied(operations: list[dict[str, Any]], era: str, found: Findings) -> None:
    """Check that the plan states all that libkrun does by itself, and nothing else."""
    tokens: set[str] = set()
    for row in operations:
        if "call" in row:
            tokens.add(row["call"])
            for name, value in row.get("args", {}).items() if row["call"] in IMPLYING else ():
                if type(value) is dict:
                    tokens.update(f"{row['call']}.{name}={{{key}}}" for key in value)
                    continue
                for item in value if type(value) is list else (value,):
                    if type(item) is str:
                        tokens.add(f"{row['call']}.{name}={item}")
    honest = {
        row["name"]
        for row in IMPLICIT
        if era in row["eras"]
        and tokens.isdisjoint(row.get("unless", ()))
        and not any(tokens.isdisjoint(group) for group in row.get("when", ()))
    }
    stated: set[str] = set()
    for i, row in enumerate(operations):
        if (name := row.get("implicit")) is None:
            continue
        if name not in honest:
            found.append((("operations", i), f"the calls do not imply {shown(name)}"))
        if name in stated:
            found.append((("operations", i), f"{shown(name)} is here twice"))
        stated.add(name)
    for name in sorted(honest - stated):
        found.append((("operations",), f"the calls imply {name}, which the plan does not state"))


def _conditions(operations: list[dict[str, Any]], given: list[Given], found: Findings) -> None:
    """Check that each path that a call uses has a condition, and each condition a call, with the
    same access: a condition opens its path to the confined VM, and a reviewer sees the calls."""
    conditions = [
        (i, row["args"]["path"], row["args"]["access"])
        for i, row in enumerate(operations)
        if row.get("step") in OPENED
    ]
    demanded: dict[str, str] = {}
    for _, path, access in conditions:
        if demanded.get(path) != "read-write":
            demanded[path] = access
    used: dict[str, str] = {}
    for i, row in enumerate(operations):
        for rule, value in given[i] if "call" in row else ():
            if rule["kind"] == "bytes" and "file" in value:
                used.setdefault(value["file"], "read")
            if rule["kind"] != "host_path" or value is None:
                continue
            how = opening(rule, row["args"])
            if how == "make":
                continue
            if how != "read" or value not in used:
                used[value] = how
            is_raw = row["args"].get("disk_format", "raw") == "raw"
            if value.startswith(STORE) and not (how == "read" and is_raw):
                what = "an image of the store is attached raw and read-only"
                found.append((("operations", i), what))
            if demanded.get(value) not in (used[value], "read-write"):
                what = f"no condition before it demands {shown(value)} with {used[value]} access"
                found.append((("operations", i, "args", rule["name"]), what))
    for i, path, access in conditions:
        if path not in used:
            found.append((("operations", i), f"no call uses {shown(path)}"))
        elif access != "read" and used[path] == "read":
            found.append((("operations", i), f"no call writes to {shown(path)}"))


def _served(operations: list[dict[str, Any]], found: Findings) -> None:
    """Check that what a step starts serves one call: its socket has one other end."""
    for i, row in enumerate(operations):
        function = STEPS[row["step"]].get("serves") if "step" in row else None
        if function is None:
            continue
        end = {"opened": row["args"]["name"]}
        users = [one.get("call") for one in operations if end in one.get("args", {}).values()]
        if users != [function]:
            sentence = f"one {function}, and no other call, needs {shown(end['opened'])}"
            found.append((("operations", i), sentence))


def opening(rule: dict[str, Any], args: dict[str, Any]) -> str:
    """Tell how libkrun opens the path that is the parameter RULE of a call with ARGS."""
    for name, how in rule.get("opens_if", {}).items():
        if args.get(name) is True:
            return str(how)
    return str(rule["opens"])


def _configuration(operations: list[dict[str, Any]], names: set[str], found: Findings) -> None:
    """Check that no two calls lay something at one place, and that init's file has the program."""
    stated, of_init = 0, (GUEST_CONFIGURATION["fs_tag"], GUEST_CONFIGURATION["path"])
    places: dict[tuple[str, str], int] = {}
    for i, row in () if names.isdisjoint(MEANT["laid_at"]) else enumerate(operations):
        if (at := MEANT["laid_at"].get(row.get("call"))) is None:
            continue
        args = row["args"]
        place = args[MEANT["laid_in"][row["call"]]], system.normpath("/" + args[at]).lstrip("/")
        if (first := places.setdefault(place, i)) != i:
            what = f"the path {shown(args[at])} is that of operations[{first}]"
            found.append((("operations", i, "args", at), what))
        if (data := content(row)) is None:
            continue
        argument, given = data
        where: Path = ("operations", i, "args", argument)
        if "process" not in given:
            if place == of_init:
                found.append((where, "a process is needed here"))
            continue
        stated += 1
        if place != of_init:
            found.append((where, f"a process is allowed only in {' '.join(of_init)}"))
        if not names.isdisjoint(MEANT["program"]) or stated > 1:
            found.append((("operations", i), "the plan names more than one program"))


def content(row: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the content that the call of ROW lays over a directory, with its argument's name."""
    name = row.get("call", "")
    if name in MEANT["laid_at"]:
        for rule in FUNCTIONS[name]["params"]:
            if rule["kind"] == "bytes":
                return rule["name"], row["args"][rule["name"]]
    return None


def devices(names: list[str]) -> int:
    """Return the virtio devices that operations of these NAMES make, libkrun's own among them."""
    return sum(DEVICES[name] for name in names if name in DEVICES)
