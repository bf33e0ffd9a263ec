"""What the launcher does to the host and to its process: every such call, as a golden list, and the
rooms that may make one. A new one is a line of a review."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden import agree
from places import GENERATED, GOLDEN, ROOT

PACKAGE = ROOT / "launcher/krunc_launcher"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name not in GENERATED)
# Lines that are not blank, which an auditor reads. SECURITY.md names the same figures.
BUDGETS = {"text": 290, "plan": 990, "approval": 170, "resolve": 550, "vm": 710}
# Functions of system.py that only look, or reach nothing but memory of this process.
_LOOKS = {
    "abspath", "basename", "dirname", "exists", "isdir", "isfile", "join", "lexists", "normpath",
    "S_ISBLK", "S_ISCHR", "S_ISDIR", "S_ISFIFO", "S_ISLNK", "S_ISREG", "S_ISSOCK", "variable",
    "access", "close", "cpu_count", "dup", "fsdecode", "fsencode", "fspath", "fstat",
    "get_blocking", "get_inheritable", "getcwd", "geteuid", "getegid", "getgroups", "getpid",
    "getppid", "isatty", "listdir", "lstat", "major", "minor", "pread", "read", "readlink", "scandir", "stat",
    "strerror", "sysconf", "uname", "WEXITSTATUS", "WIFEXITED", "WIFSIGNALED", "WTERMSIG",
}  # fmt: skip
# What system.open may be told without making or changing a file.
_READING = {
    "O_RDONLY", "O_CLOEXEC", "O_NONBLOCK", "O_PATH", "O_DIRECTORY", "O_NOFOLLOW", "O_NOCTTY",
}  # fmt: skip
_PLAIN = {
    "pthread_sigmask", "signal", "start_new_thread", "flock", "fcntl", "tcsetattr", "exec", "eval",
    "open", "socket",
}  # fmt: skip
# Calls that change files of the host.
_CHANGING = {
    "system.chmod", "system.chown", "system.fchmod", "system.fchown", "system.link", "system.makedirs", "system.mkdir", "system.mkfifo", "system.mknod",
    "system.remove", "system.rename", "system.replace", "system.rmdir", "system.symlink", "system.truncate", "system.unlink",
}  # fmt: skip


def flags(node: ast.AST) -> set[str]:
    """The flags of open(2) that are named in a piece of code."""
    named = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return {name for name in named if name.startswith("O_")}


def acts(path: Path) -> Iterator[str]:
    """Each call of a module that may change the host or the process."""
    tree = ast.parse(path.read_text("utf-8"))
    inside = {
        id(part): function
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for part in ast.walk(function)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="system"), attr="open"):
                # Flags that have a name of their own are told by the function around.
                named = flags(node) or flags(inside[id(node)])
                if named - _READING:
                    yield f"system.open({'|'.join(sorted(named))})"
            case ast.Attribute(attr="open") | ast.Name(id="without_links"):
                named = flags(node) or flags(inside[id(node)])
                if named - _READING:
                    yield f"paths.open({'|'.join(sorted(named))})"
            case ast.Attribute(value=ast.Name(id="system"), attr=name) if name not in _LOOKS:
                yield f"system.{name}"
            case ast.Attribute(value=ast.Name(id="libc"), attr=name):
                yield f"libc.{name}"
            case ast.Attribute(value=ast.Name(id="ffi"), attr="dlopen" | "memmove" as name):
                yield f"ffi.{name}"
            case ast.Name(id=name) if name in _PLAIN:
                yield name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_system_is_called_by_its_full_name(path: Path) -> None:
    """Else the list above would miss a call."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
            assert path.name == "system.py"
        if isinstance(node, ast.ImportFrom):
            assert node.module != "krunc_launcher.system"
        if isinstance(node, ast.Import):
            assert not [row.name for row in node.names if row.asname]


def test_all_acts_are_listed(update_golden: bool) -> None:
    rows = []
    for path in MODULES:
        counted = Counter(acts(path))
        names = [name if n == 1 else f"{name} x{n}" for name, n in sorted(counted.items())]
        if names:
            rows.append(f"{path.relative_to(PACKAGE)}: {', '.join(names)}\n")
    agree(GOLDEN / "launcher.acts.txt", "".join(rows), update_golden)


def test_only_some_rooms_change_files() -> None:
    """Those that act on a plan, the process above them, and who makes the directories for many VMs."""
    changing = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        for act in acts(path)
        if act in _CHANGING or "O_CREAT" in act or "O_TRUNC" in act
    }
    rooms = {name.split("/")[0] if name != "command/fleet.py" else name for name in changing}
    assert rooms <= {"vm", "supervise", "command/fleet.py"}


# What opens or looks at a file besides paths.py in the rooms that get paths of a plan: files that
# have a name of their own there, descriptors, libkrun itself, and the directory of the run.
_OF_ITS_OWN = {
    "host/disk_locks.py: open('/proc/locks')", "host/kvm.py: open('/proc/meminfo')",
    "host/kvm.py: system.open(_DEVICE)", "host/kvm.py: system.stat(_DEVICE)",
    # Of the root, by paths that it resolves itself.
    "host/executable.py: system.readlink('')",
    "host/landlock.py: open('/proc/self/status')", "host/libkrun.py: open(path)", "host/listeners.py: system.lstat(path)",
    "host/nested.py: open(f'{modules}/{kind}/parameters/nested')",
    "host/ports.py: open(f'/proc/net/{version}')", "host/runtime.py: system.lstat(directory)", "host/runtime.py: system.stat(path)", "host/tap.py: open('/proc/self/status')",
    "host/tap.py: open(path)", "resolve/operation.py: open(handle)",
    "vm/strip.py: system.open('/proc/self/stat')",
    # The stage itself, and the directory that is made for one launch.
    "vm/stage.py: system.open(f'{package}/stage/{machine}')", "vm/stage.py: system.open(path)",
}  # fmt: skip


def test_paths_of_a_plan_are_opened_in_one_place() -> None:
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _LOOKING:
                act = f"{ast.unparse(node.func)}({ast.unparse(node.args[0])})"
                found.add(f"{path.relative_to(PACKAGE)}: {act}")
    rooms = ("host/", "resolve/", "vm/")
    assert {act for act in found if act.startswith(rooms)} == _OF_ITS_OWN


_LOOKING = ("open", "system.open", "system.stat", "system.lstat", "system.readlink")


@pytest.mark.parametrize("room", BUDGETS)
def test_a_room_is_read_in_the_time_that_is_promised(room: str) -> None:
    lines = [
        line for path in (PACKAGE / room).glob("*.py") for line in path.read_text().splitlines()
    ]
    assert len([line for line in lines if line.strip()]) <= BUDGETS[room]


def imported(path: Path) -> set[str]:
    """The modules of the launcher that a module imports, late imports too, types left out."""
    found = set()
    tree = ast.parse(path.read_text("utf-8"))
    for block in [node for node in tree.body if isinstance(node, ast.If)]:
        if isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            tree.body.remove(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("krunc_launcher"):
            inner = (node.module or "").split(".")[1:]
            for row in node.names:
                whole = PACKAGE.joinpath(*inner, f"{row.name}.py")
                found.add(str(whole if whole.exists() else PACKAGE.joinpath(*inner)) + ".")
    return {name.removesuffix(".").removesuffix(".py") for name in found}


def test_no_import_circle() -> None:
    arrows = {str(path.with_suffix("")): imported(path) for path in MODULES}
    while arrows:
        free = [name for name, others in arrows.items() if others.isdisjoint(arrows)]
        assert free, f"these import each other in a circle: {sorted(arrows)}"
        for name in free:
            del arrows[name]
