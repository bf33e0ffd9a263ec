"""Writes krunc_launcher/_krun.py and the tables that plans are checked by from those in
schema/krunc_schema: _rules.py, and in modules of their own what few plans have, _stage_rules.py and
_rare_rules.py; _box_options.py, what is said of other tools' options; and _look_alikes.py, the
compiler's rules which characters a text is told with, and which names are read as one.

Runs as the build hook of a wheel or an editable install, and by hand after a change of a table:
python launcher/generate_krun.py
"""

from __future__ import annotations

import ast
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
from generate_rules import load, rules  # noqa: E402

PACKAGE = HERE / "krunc_launcher"
_HIDDEN = '''\
def hidden(text: str) -> set[int]:
    """Return the indexes of the characters of TEXT that a reader does not see as themselves."""
    return doubtful(text) | {i for i, c in enumerate(text) if not is_seen(c)}
'''
# How names are compared (files/one_file.py).
_OF_NAMES = (
    "LIKE_LATIN", "_LATIN_ALIKE", "_OF_NO_WIDTH", "alike", "difference", "_like_latin",
    "_is_unseen",
)  # fmt: skip
# One for all: it keeps what it was asked for once.
_LIBC = """
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
libc: "Any" = ffi.dlopen(None)
"""


class KruncBuildHook(Hook):
    """Generates these modules before hatchling collects the files, and what a wheel has in place of
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
    """Write the modules into PACKAGE, from TABLE or the project's own."""
    table = table or load("krun")
    for name, text in rules(table).items():
        (package / f"{name}.py").write_text(text, "utf-8")
    (package / "_look_alikes.py").write_text(look_alikes(), "utf-8")
    ffi = FFI()
    ffi.set_source("krunc_launcher._krun", None)
    ffi.cdef(declarations(table))
    ffi.emit_python_code(str(package / "_krun.py"))
    with (package / "_krun.py").open("a") as file:
        file.write(_LIBC)


def look_alikes() -> str:
    """Return the module that tells which characters of a text are escaped, of the text of the
    compiler's: neither imports the other."""
    compiler = HERE.parent / "compiler" / "krunc_compiler"
    rule = (compiler / "review" / "look_alikes.py").read_text("utf-8")
    taken = {
        "findings/report.py": {"is_seen", "_is_drawn", "_BLANK"},
        "files/one_file.py": {*_OF_NAMES},
    }
    parts = [
        _segment(text, node)
        for file, names in taken.items()
        for text in ((compiler / file).read_text("utf-8"),)
        for node in ast.parse(text).body
        if (isinstance(node, ast.FunctionDef) and node.name in names)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names)
    ]
    # What its own constants are made of comes before them.
    table = "\n".join(one for one in parts if one.startswith("LIKE_LATIN"))
    own = re.sub(r"from krunc_compiler\..*", lambda _: table, rule)
    own = own.replace("import lru_cache", "import cache, lru_cache")
    rest = [one for one in parts if one != table]
    return "\n\n\n".join([own.rstrip("\n"), *rest, _HIDDEN])


def _segment(text: str, node: ast.stmt) -> str:
    """Return the text of NODE with its decorators."""
    decorators = [one.lineno for one in getattr(node, "decorator_list", ())]
    first = min([node.lineno, *decorators])
    return "\n".join(text.split("\n")[first - 1 : node.end_lineno])


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
        # Linux passes what follows `...` as it passes the rest; cffi takes twice as long for it.
        "long syscall(long, const void *, const void *, const void *, const void *, const void *);",
        "int prctl(int option, unsigned long, unsigned long, unsigned long, unsigned long);",
        "struct pollfd { int fd; short events; short revents; };",
        "int poll(struct pollfd *asked, unsigned long number, int timeout);",
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


if __name__ == "__main__":
    generate()
