"""Writes krunc_launcher/_krun.py and _rules.py from the tables in schema/krunc_schema.

Runs as the build hook of a wheel or an editable install, and by hand after a change of a table:
python launcher/generate_krun.py
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cffi import FFI

if TYPE_CHECKING:
    from hatchling.builders.config import BuilderConfig
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    Hook = BuildHookInterface[BuilderConfig]
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface as Hook
    except ModuleNotFoundError:  # run by hand, without the build's environment
        Hook = object

HERE = Path(__file__).parent
# hatchling loads this file by its path, and knows nothing of those beside it.
sys.path.insert(0, str(HERE))
from generate_filters import filters  # noqa: E402

ROOT = HERE.parent
PACKAGE = HERE / "krunc_launcher"
_RULES_HEAD = '''\
"""Generated from schema/krunc_schema by launcher/generate_krun.py."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

'''
# One for all: it keeps what it was asked for once.
_LIBC = """
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
libc: "Any" = ffi.dlopen(None)
"""
_FOR_PEOPLE = ("doc", "keys", "unreached", "returns", "vendor")
_OF_A_PARAMETER = ("doc", "c", "means")
_PLAN = ("format", "ending", "operations", "runtime", "launch", "store")
_STAGE = ("port", "never_ended", "share", "program", "root", "socket", "steps", "search")
# A run of characters, or a group of runs, and how often it stands.
_RUN = re.compile(r"(\[[^]]+]|\([^()]+\)|[A-Za-z0-9:=])(?:\{([0-9]+)(?:,([0-9]+))?}|([*+?]))?")
_OFTEN = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ENDLESS = 1 << 30
_PLANNED = ("log", "create", "configure", "enter")
_SINGLE = ("create", "enter", "free")  # the roles of one function each


class KruncBuildHook(Hook):
    """Generates both modules before hatchling collects the files, and what a wheel has in place of
    the others."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling for wheels and editable installs alike."""
        sys.path.insert(0, str(HERE))
        generate()
        if version == "standard":
            from generate_start import made

            # Not into the tree, where it would be in the way of every later change.
            self._made = TemporaryDirectory()
            for number, (path, text) in enumerate(made(PACKAGE).items()):
                file = Path(self._made.name) / f"{number}.py"
                file.write_text(text, "utf-8")
                build_data["force_include"][str(file)] = f"krunc_launcher/{path}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the wheel is made."""
        del build_data, artifact_path
        if version == "standard":
            self._made.cleanup()


def generate(package: Path = PACKAGE, table: dict[str, Any] | None = None) -> None:
    """Write both modules into PACKAGE, from TABLE or the project's own."""
    table = table or _load("krun")
    (package / "_rules.py").write_text(rules(table), "utf-8")
    ffi = FFI()
    ffi.set_source("krunc_launcher._krun", None)
    ffi.cdef(declarations(table))
    ffi.emit_python_code(str(package / "_krun.py"))
    with (package / "_krun.py").open("a") as file:
        file.write(_LIBC)


def declarations(table: dict[str, Any]) -> str:
    """C declarations of every function of the table, and of the symbols that mark an era."""
    lines = []
    for name, row in table["functions"].items():
        params = ", ".join(f"{param['c']} {param['name']}" for param in row["params"]) or "void"
        lines.append(f"{row['returns']} {name}({params});")
    for marker in table["markers"]:
        if marker["symbol"] not in table["functions"]:
            lines.append(f"void {marker['symbol']}(void);")
    # The C library's own, for what Python does not offer without importing much.
    lines += [
        "long syscall(long number, ...);",
        # Linux passes what follows `...` as it passes the rest.
        "int prctl(int option, unsigned long, unsigned long, unsigned long, unsigned long);",
        "int ioctl(int fd, unsigned long request, unsigned long argument);",
        "void *mmap(void *at, size_t size, int protection, int flags, int fd, int64_t offset);",
        "int munmap(void *at, size_t size);",
        "int socket(int domain, int type, int protocol);",
        "int setsockopt(int fd, int level, int name, const void *value, uint32_t size);",
        "int bind(int fd, const void *address, uint32_t size);",
        "int listen(int fd, int waiting);",
        "int accept4(int fd, void *address, void *size, int flags);",
        "int fcntl(int fd, int command, long argument);",
        "int flock(int fd, int how);",
        "int getrlimit(int resource, uint64_t *limits);",
        "int setrlimit(int resource, const uint64_t *limits);",
        "int capget(void *head, void *sets);",
        "int capset(void *head, const void *sets);",
        "int fstatfs(int fd, void *status);",
        "int fallocate(int fd, int mode, int64_t offset, int64_t size);",
        "int inotify_init1(int flags);",
        "int inotify_add_watch(int fd, const char *path, uint32_t mask);",
        "int inotify_rm_watch(int fd, int watch);",
    ]
    # Not in every libc that cffi's parser knows.
    return "typedef uint32_t uid_t;\ntypedef uint32_t gid_t;\n" + "\n".join(lines) + "\n"


def rules(table: dict[str, Any]) -> str:
    """Return the text of _rules.py: the tables as Python literals, without what only people
    read."""
    steps, orders, plan = _load("steps"), _load("orders"), _load("plan")
    values = {
        "VERSION": _version(),
        "ERAS": table["eras"],
        "MARKERS": table["markers"],
        "CHARSETS": {
            name: (_characters(row["pattern"]), row["doc"])
            for name, row in table["charsets"].items()
        },
        "LIMITS": table["limits"],
        "PLAN": {name: plan[name] for name in _PLAN},
        "KINDS": {name: _kind(row) for name, row in plan["kinds"].items()},
        "KERNEL_CMDLINE": table["kernel_cmdline"],
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
        "CARRIED": _with("command_line", table["functions"]),
        "MEANT": {meaning: _meant(table, meaning) for meaning in table["meanings"]},
        "IMPLICIT": table["implicit"],
        "FUNCTIONS": {
            name: _row(row) for name, row in table["functions"].items() if row["role"] in _PLANNED
        },
        "STEPS": {name: _row(row) for name, row in steps["steps"].items()},
    }

    values["STAGE"] = {key: value for key, value in orders.items() if key in _STAGE}
    values["ORDERS"] = {
        name: {key: value for key, value in row.items() if key not in _FOR_PEOPLE}
        for name, row in orders["orders"].items()
    }
    values["FILTERS"] = filters(_load("syscalls"))
    kinds = {"str": "str", "dict": "dict[str, Any]", "list": "list[Any]"}
    lines = [
        f"{name}: {kinds[type(value).__name__]} = {value!r}\n" for name, value in values.items()
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


def _with(key: str, *tables: dict[str, Any]) -> dict[str, bool]:
    """Return the functions or steps with a parameter that has KEY."""
    return {
        name: True
        for rows in tables
        for name, row in rows.items()
        if any(key in param for param in row["params"])
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


def runs(pattern: str) -> list[tuple[str, int, int]]:
    """Return the runs of characters that PATTERN describes: which, and how many at least and at
    most.

    Raises ValueError where a walk that takes as many characters as a run can have, and never goes
    back, would not tell what PATTERN tells.
    """
    found: list[tuple[str, int, int]] = []
    at = 0
    while at < len(pattern):
        run = _RUN.match(pattern, at)
        if run is None:
            raise ValueError(f"{pattern}: {pattern[at:]} is no run of characters")
        what, least, most, often = run.groups()
        low, high = _OFTEN.get(often, (1, 1)) if least is None else (int(least), int(most or least))
        if what.startswith("("):
            if low != high:
                raise ValueError(f"{pattern}: the group {what} is repeated more or less often")
            found += runs(what[1:-1]) * low
        else:
            found.append((_characters(what), low, _ENDLESS if high is None else high))
        at = run.end()
    for i, (taken, low, high) in enumerate(found):
        for following, needed, _ in found[i + 1 :]:
            if low != high and set(taken) & set(following):
                raise ValueError(f"{pattern}: where a run ends cannot be seen")
            if needed:
                break
    return found


def _characters(pattern: str) -> str:
    expression = re.compile(pattern.removesuffix("*"))
    return "".join(chr(code) for code in range(128) if expression.fullmatch(chr(code)))


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (ROOT / "schema" / "krunc_schema" / f"{name}.json").read_text("utf-8")
    )
    return content


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    if found is None:
        sys.exit("generate_krun: no version in pyproject.toml")
    return found[1]


if __name__ == "__main__":
    generate()
