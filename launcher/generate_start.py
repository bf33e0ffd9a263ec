"""Makes of all modules of a launch one, krunc_launcher/start.py of a wheel: one file to find and to
read where there were two dozen. What runs is their text without its annotations, each in a
namespace of its own."""

from __future__ import annotations

import ast
import io
import symtable
import tokenize
from collections.abc import Iterator
from pathlib import Path

_FUTURE = "from __future__ import annotations\n"
_HEAD = f'''\
"""All modules of a launch, made one by launcher/generate_start.py when krunc was built: each is a
function here, whose names are global, and runs once in the namespace of its module."""

{_FUTURE}
import sys


'''
_FOOT = """\
_PACKAGE = sys.modules["krunc_launcher"]
for _name in _FOLDERS:
    _full = f"krunc_launcher.{_name}"
    if _full not in sys.modules:
        _module = sys.modules[_full] = type(sys)(_full)
        _module.__path__ = [f"{_path}/{_name}" for _path in _PACKAGE.__path__]
        setattr(_PACKAGE, _name, _module)
for _name, _body in _MODULES.items():
    _full = f"krunc_launcher.{_name}"
    if _full not in sys.modules:
        _module = sys.modules[_full] = type(sys)(_full)
        # As exec would: C code that imports something looks for it in its caller's globals.
        setattr(_module, "__builtins__", __builtins__)
        _above, _, _last = _full.rpartition(".")
        setattr(sys.modules[_above], _last, _module)
        type(_body)(_body.__code__, _module.__dict__)()

main = sys.modules["krunc_launcher.__main__"].main
"""
# What a launch imports, with what these import; the second and the third late, by the first.
_ROOTS = ("__main__", "accept", "launch")


def modules(package: Path) -> list[str]:
    """Return the modules of a launch, of those in the folder PACKAGE, each behind what it
    imports."""
    order: list[str] = []
    for root in _ROOTS:
        _behind_its_imports(package, root, order)
    return order


def start(package: Path) -> str:
    """Return the text of start.py, of the modules in the folder PACKAGE."""
    order = modules(package)
    functions = [f"def {called(name)}() -> None:\n{_body(package, name)}\n\n" for name in order]
    rows = "".join(f'    "{name}": {called(name)},\n' for name in order)
    folders = sorted({name.partition(".")[0] for name in order if "." in name})
    tables = f"_FOLDERS = {folders!r}\n_MODULES = {{\n{rows}}}\n"
    return _HEAD + "".join(functions) + tables + _FOOT


def called(name: str) -> str:
    """Return the function that is made of the module NAME."""
    return "_" + name.replace(".", "__")


def _behind_its_imports(package: Path, name: str, order: list[str]) -> None:
    if name in order:
        return
    for statement in ast.parse(_text(package, name)).body:
        if isinstance(statement, ast.ImportFrom):
            first, _, module = (statement.module or "").partition(".")
            if first == "krunc_launcher":
                for row in statement.names:
                    inner = f"{module}.{row.name}".lstrip(".")
                    other = inner if _file(package, inner).exists() else module
                    _behind_its_imports(package, other, order)
    order.append(name)


def _body(package: Path, name: str) -> str:
    """Return a module as the body of a function."""
    text = _plain(_text(package, name).replace(_FUTURE, ""))
    names = sorted(
        symbol.get_name()
        for symbol in symtable.symtable(text, name, "exec").get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    )
    inside = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        for line in range(token.start[0] + 1, token.end[0] + 1)
    }
    lines = [
        line if number in inside or not line.strip() else f"    {line}"
        for number, line in enumerate(text.splitlines(keepends=True), 1)
    ]
    return f"    global {', '.join(names)}\n" + "".join(lines)


def _plain(text: str) -> str:
    """Return TEXT without annotations: what is global may have none, and each launch would read
    them."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for first, start, last, end in sorted(_annotations(ast.parse(text), lines), reverse=True):
        lines[first : last + 1] = [lines[first][:start] + lines[last][end:]]
    return b"".join(lines).decode()


def _annotations(tree: ast.Module, lines: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Tell where each annotation of TREE starts and ends: lines from 0, and bytes in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            start = (node.target.end_lineno or 0) - 1, node.target.end_col_offset or 0
            yield *start, *_end(node.annotation)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            start = node.lineno - 1, node.col_offset + len(node.arg.encode())
            yield *start, *_end(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            line = node.returns.lineno - 1
            arrow = lines[line].rindex(b"->", 0, node.returns.col_offset)
            yield line, len(lines[line][:arrow].rstrip()), *_end(node.returns)


def _end(node: ast.expr) -> tuple[int, int]:
    return (node.end_lineno or 0) - 1, node.end_col_offset or 0


def _text(package: Path, name: str) -> str:
    return _file(package, name).read_text("utf-8")


def _file(package: Path, name: str) -> Path:
    return package / (name.replace(".", "/") + ".py")
