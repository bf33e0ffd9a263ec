"""The tables that plans are checked by, as Python modules, from those in schema/krunc_schema."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from generate_filters import filters
from generate_runs import characters, runs

ROOT = Path(__file__).parent.parent
# The tree's own: what builds krunc has none that is installed.
sys.path[:0] = [str(ROOT / "compiler"), str(ROOT / "schema")]
from krunc_compiler.shape.box_options import box_options  # noqa: E402

_RULES_HEAD = '''\
"""Generated from schema/krunc_schema by launcher/generate_krun.py."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

'''
_FOR_PEOPLE = ("doc", "keys", "unreached", "returns", "vendor", "unheard")
_OF_A_PARAMETER = ("doc", "c", "means")
_PLAN = ("format", "ending", "operations", "runtime", "launch", "store")
# Sets of names, each a string.
_NAMES = ("guest_own", "no_disks", "no_disks_why", "no_layers", "no_layers_why")
_STAGE = ("port", "never_ended", "share", "program", "root", "socket", "search")
_PLANNED = ("log", "create", "configure", "enter")
_SINGLE = ("create", "enter", "free")  # the roles of one function each
# What the plans of common boxes have. A launch reads these rows, whatever its plan; it reads the
# others when its plan names one of them (krunc_launcher/plan/rows.py).
_COMMON = frozenset((
    "krun_add_disk2", "krun_add_net_unixstream", "krun_add_virtio_console_default",
    "krun_add_virtiofs", "krun_add_virtiofs3", "krun_add_vsock", "krun_add_vsock_port2",
    "krun_create_ctx", "krun_disable_implicit_vsock", "krun_init_log", "krun_set_console_output",
    "krun_set_exec", "krun_set_port_map", "krun_set_rlimits", "krun_set_root",
    "krun_set_root_disk_remount", "krun_set_vm_config", "krun_set_workdir", "krun_start_enter",
    "clear_stale_socket", "confine", "make_runtime_directory", "raise_nofile", "require_file",
    "require_directory", "require_hypervisor", "require_socket", "stop_on_sigterm",
))  # fmt: skip
_OF_THE_STAGE = ("lay_stage", "pass_sigterm", "end_after")
_ROOT = 1  # the rank of the orders that say what the guest's root is


def rules(table: dict[str, Any]) -> dict[str, str]:
    """Return the texts of the modules with the tables, by their names: Python literals, without
    what only people read."""
    steps, orders, plan = load("steps"), load("orders"), load("plan")
    functions = {
        name: _row(row) for name, row in table["functions"].items() if row["role"] in _PLANNED
    }
    host = {name: _row(row) for name, row in steps["steps"].items()}
    values = {
        "VERSION": _version(),
        "ERAS": table["eras"],
        "MARKERS": table["markers"],
        "CHARSETS": {
            name: (characters(row["pattern"]), row["doc"])
            for name, row in table["charsets"].items()
        },
        "NAMES": {name: orders[name] for name in _NAMES},
        # The orders that mount something at a path.
        "MOUNTS": {
            name: True
            for name, row in orders["orders"].items()
            if any("outside" in param for param in row["params"])
        },
        "LIMITS": {**table["limits"], **_limits(table["architectures"])},
        "PLAN": {name: plan[name] for name in _PLAN},
        "KINDS": {name: _kind(row) for name, row in plan["kinds"].items()},
        "KERNEL_CMDLINE": {**table["kernel_cmdline"], **_line(table["architectures"])},
        # Virtio devices by operation, and the functions that not every architecture has.
        "DEVICES": _devices(table),
        "OF_SOME": {name: True for name, row in table["functions"].items() if "on" in row},
        "RESERVED_ENV": table["reserved_env"],
        "GUEST_CONFIGURATION": table["guest_configuration"],
        "ENUMS": {
            **{name: _named(row) for name, row in table["enums"].items()},
            **{
                name: {key: (key, i) for i, key in enumerate(row)}
                for name, row in {**steps["enums"], **orders["enums"]}.items()
            },
        },
        "FLAGS": {name: _named(row) for name, row in table["flags"].items()},
        # When the values of arguments came, by enumeration.
        "NEWER": {
            name: since
            for name, row in {**table["enums"], **table["flags"]}.items()
            if (since := {key: value["since"] for key, value in row.items() if "since" in value})
        },
        "ENVIRONMENTS": table["environments"],
        "CAPABILITIES": table["capabilities"],
        "ROLES": {
            row["role"]: name for name, row in table["functions"].items() if row["role"] in _SINGLE
        },
        # Those with an argument of a kind, for a quick look.
        "OPENING": _with("opens", table["functions"], steps["steps"]),
        "DISKS": _with("target", table["functions"], value="disk"),
        "CARRIED": _with("command_line", table["functions"]),
        "COUNTED": _with("count", table["functions"]),
        "MEANT": {meaning: _meant(table, meaning) for meaning in table["meanings"]},
        "IMPLICIT": table["implicit"],
        # The functions whose arguments, and not they alone, decide what is implicit.
        "IMPLYING": {
            token.partition(".")[0]: True
            for row in table["implicit"]
            for group in (row.get("unless", ()), *row.get("when", ()))
            for token in group
            if "." in token
        },
        # The steps that demand a path and open it to the VM, and those that every plan has.
        "OPENED": list(_with("admits", steps["steps"])),
        # The steps that open a path of the host, and its name; what is made is a regular file.
        "NAMING": {
            name: param["name"]
            for name, row in steps["steps"].items()
            for param in row["params"]
            if param["kind"] == "host_path" and param.get("opens") != "make"
        },
        "REQUIRED": [name for name, row in steps["steps"].items() if row.get("required")],
        "FUNCTIONS": {name: row for name, row in functions.items() if name in _COMMON},
        "STEPS": {name: row for name, row in host.items() if name in _COMMON},
        "FILTERS": filters(load("syscalls")),
    }
    of_the_stage = {
        "STAGE": {
            **{key: value for key, value in orders.items() if key in _STAGE},
            "required": [name for name, row in orders["orders"].items() if "required" in row],
            "roots": [name for name, row in orders["orders"].items() if row["rank"] == _ROOT],
        },
        # What the call that shares the root itself names it.
        "ROOT_TAG": next(
            tag
            for row in functions.values()
            for space, tag in row.get("takes", ())
            if space == "virtiofs tag"
        ),
    }
    rare = {
        "ARCHITECTURES": table["architectures"],
        # What can fail in the guest: asked for when something has.
        "FAILURES": orders["steps"],
        "FUNCTIONS": {name: row for name, row in functions.items() if name not in _COMMON},
        "STEPS": {
            name: row for name, row in host.items() if name not in (*_COMMON, *_OF_THE_STAGE)
        },
    }
    told = {"BOX_OPTIONS": box_options(load("habits"), load("box.schema"))}
    modules = {
        "_rules": values, "_stage_rules": of_the_stage, "_rare_rules": rare, "_box_options": told,
    }  # fmt: skip
    texts = {name: _literals(tables) for name, tables in modules.items()}
    asked = {name: _row(row) for name, row in orders["orders"].items()}
    steps_asked = {name: host[name] for name in _OF_THE_STAGE}
    texts["_stage_rules"] += _made_when_asked_for({"order": asked, "step": steps_asked})
    return texts


def _made_when_asked_for(rows: dict[str, dict[str, Any]]) -> str:
    """Return the text of a function that makes one of ROWS, which few plans have, by its name."""
    text = "\n\ndef row(kind: str, name: str) -> dict[str, Any] | None:\n"
    for kind, named in rows.items():
        text += f"    if kind == {kind!r}:\n"
        for name, row in named.items():
            text += f"        if name == {name!r}:\n            return {row!r}\n"
    return f"{text}    return None\n"


def _limits(architectures: dict[str, Any]) -> dict[str, int]:
    """Return the limits of the most able architecture, and those that hold for any."""
    every = {
        name: [row[name] for row in architectures.values()] for name in ("virtio_devices", "vcpus")
    }
    least = {f"{name}_anywhere": min(values) for name, values in every.items()}
    return {"virtio_devices": max(every["virtio_devices"]), **least}


def _line(architectures: dict[str, Any]) -> dict[str, Any]:
    """Return how long a command line every architecture has room for, and what a device takes of it
    by the machine."""
    rows = architectures.values()
    return {
        "max_bytes": min(row["cmdline_bytes"] for row in rows),
        "device_bytes": {
            machine: row["device_bytes"] for row in rows for machine in row["machines"]
        },
    }


def _devices(table: dict[str, Any]) -> dict[str, int]:
    """Return the virtio devices of a function, or of what is implicit, that has any."""
    rows = [*table["functions"].items(), *((row["name"], row) for row in table["implicit"])]
    return {name: row["devices"] for name, row in rows if row.get("devices")}


def _literals(tables: dict[str, Any]) -> str:
    """Return the text of a module with TABLES."""
    kinds = {"str": "str", "dict": "dict[str, Any]", "list": "list[Any]"}
    lines = [
        f"{name}: {kinds[type(value).__name__]} = {value!r}\n" for name, value in tables.items()
    ]
    return _RULES_HEAD + "".join(lines)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a table without what the launcher has no use for."""
    kept = {key: value for key, value in row.items() if key not in _FOR_PEOPLE}
    kept["params"] = [
        {key: value for key, value in param.items() if key not in _OF_A_PARAMETER}
        for param in row["params"]
    ]
    return kept


def _meant(table: dict[str, Any], meaning: str) -> dict[str, str]:
    """Return the functions with a parameter that means MEANING, and its name."""
    return {
        name: param["name"]
        for name, row in table["functions"].items()
        for param in row["params"]
        if param.get("means") == meaning
    }


def _with(key: str, *tables: dict[str, Any], value: str | None = None) -> dict[str, bool]:
    """Return the functions or steps with a parameter that has KEY, with VALUE if that is told."""
    return {
        name: True
        for rows in tables
        for name, row in rows.items()
        if any(key in param and value in (None, param[key]) for param in row["params"])
    }


def _named(row: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {name: (value["c"], value["value"]) for name, value in row.items()}


def _kind(row: dict[str, Any]) -> dict[str, Any]:
    """Return a kind as the launcher checks it: its patterns as runs, nothing that only people
    read."""
    named = [
        *("form", "why", "min", "max", "min_bytes", "max_bytes", "max_items", "parts_refused"),
        *("multiple_of", "numbers", "views", "views_why", "devices", "no_devices"),
    ]
    rule = {name: row[name] for name in named if name in row}
    if "pattern" in row:
        rule["runs"] = runs(row["pattern"])
        rule["except"] = [runs(pattern) for pattern in row.get("except", ())]
    return rule


def load(name: str) -> dict[str, Any]:
    """Return one of the project's tables."""
    content: dict[str, Any] = json.loads(
        (ROOT / "schema" / "krunc_schema" / f"{name}.json").read_text("utf-8")
    )
    return content


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    if found is None:
        sys.exit("generate_rules: no version in pyproject.toml")
    return found[1]
