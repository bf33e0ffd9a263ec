"""Every help line that the compiler's code can make: where the hint of each Finding comes from.

Followed are constants, f-strings, names, parameters to the calls of their function, and functions to
what they return, all within one module and the words of findings/wording.py. What a hint takes
from a table or from a box is not in the code; the boxes of tests/bad show those.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from places import ROOT

_PACKAGE = ROOT / "compiler" / "krunc_compiler"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# The arguments that become a help line: their names and where they stand.
_HINTS = {"Finding": ("hint", 3)}
_STRING_METHODS = ("format", "strip", "rstrip", "lstrip", "replace")


class Where(NamedTuple):
    """An expression: its file, its function and its module's text."""

    file: Path
    function: ast.FunctionDef | ast.AsyncFunctionDef | None


class Line(NamedTuple):
    """How a help line starts, and the place of that start."""

    text: str
    place: str


class Code:
    """The modules of the compiler, with all functions and calls by their names."""

    def __init__(self, package: Path = _PACKAGE) -> None:
        self.functions: dict[str, list[tuple[Where, ast.FunctionDef | ast.AsyncFunctionDef]]] = {}
        self.calls: dict[str, list[tuple[Where, ast.Call]]] = {}
        self.globals: dict[str, list[tuple[Where, ast.expr]]] = {}
        self._seen: set[int] = set()
        for path in sorted(package.rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for node in tree.body:
                for name, value in _assigned(node):
                    self.globals.setdefault(name, []).append((Where(path, None), value))
            self._index(tree, Where(path, None))

    def _index(self, node: ast.AST, where: Where) -> None:
        for child in ast.iter_child_nodes(node):
            inside = where
            if isinstance(child, _FUNCTIONS):
                self.functions.setdefault(child.name, []).append((where, child))
                inside = Where(where.file, child)
            elif isinstance(child, ast.Call):
                self.calls.setdefault(_name(child.func), []).append((where, child))
            self._index(child, inside)

    def lines(self) -> Iterator[Line]:
        """Yield the start of every help line."""
        for name, (keyword, position) in _HINTS.items():
            for where, call in self.calls.get(name, []):
                hint = _argument(call, keyword, position)
                if hint is not None:
                    yield from self.starts(hint, where)
        for where, call in self.calls.get("_replace", []):
            for one in call.keywords:
                if one.arg == "hint":
                    yield from self.starts(one.value, where)

    def starts(self, node: ast.expr, where: Where) -> Iterator[Line]:
        """Yield the texts with which NODE can start."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        place = f"{os.path.relpath(where.file, ROOT)}:{node.lineno}"
        match node:
            case ast.Constant(value=str(text)):
                if text.strip():
                    yield Line(text, place)
            case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if text.strip():
                yield Line(text, place)
            case ast.JoinedStr(values=[ast.FormattedValue(value=first), *_]):
                yield from self.starts(first, where)
            case ast.IfExp(body=one, orelse=other):
                yield from self.starts(one, where)
                yield from self.starts(other, where)
            case ast.BoolOp(op=ast.Or(), values=values):
                for value in values:
                    yield from self.starts(value, where)
            case ast.BoolOp(values=values):
                yield from self.starts(values[-1], where)
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult()) | ast.NamedExpr(value=left):
                yield from self.starts(left, where)
            case ast.Dict(values=values) | ast.Tuple(elts=values) | ast.List(elts=values):
                for value in values:
                    yield from self.starts(value, where)
            case ast.DictComp(value=value) | ast.GeneratorExp(elt=value) | ast.ListComp(elt=value):
                yield from self.starts(value, where)
            case ast.Subscript(value=value) | ast.Starred(value=value):
                yield from self.starts(value, where)
            case ast.Name(id=name):
                yield from self._of_name(name, node, where)
            case ast.Call():
                yield from self._of_call(node, where)

    def _of_name(self, name: str, node: ast.expr, where: Where) -> Iterator[Line]:
        function = where.function
        if function is not None:
            found = [
                value for each in ast.walk(function) for n, value in _assigned(each) if n == name
            ]
            arguments = [*function.args.posonlyargs, *function.args.args]
            names = [one.arg for one in arguments]
            if name in names or name in [one.arg for one in function.args.kwonlyargs]:
                defaults = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
                found += [one for one in defaults if isinstance(one, ast.Constant)]
                position = names.index(name) if name in names else 99
                position -= names[:1] == ["self"]
                for there, call in self.calls.get(function.name, []):
                    if there.file != where.file:
                        continue
                    given = _argument(call, name, position)
                    if given is not None:
                        yield from self.starts(given, there)
                    for star in call.args:
                        if isinstance(star, ast.Starred):
                            yield from self.starts(star, there)
            for value in found:
                yield from self.starts(value, where)
            if found or name in names:
                return
        known = self.globals.get(name, [])
        own = [one for one in known if one[0].file == where.file]
        for there, value in own:
            yield from self.starts(value, there)

    def _of_call(self, call: ast.Call, where: Where) -> Iterator[Line]:
        name = _name(call.func)
        if isinstance(call.func, ast.Attribute) and name in _STRING_METHODS:
            yield from self.starts(call.func.value, where)
        elif isinstance(call.func, ast.Attribute) and name == "get":
            for one in (call.func.value, *call.args[1:]):
                yield from self.starts(one, where)
        elif name in ("next", "iter", "str", "cast"):
            for one in call.args:
                yield from self.starts(one, where)
        elif name in self.functions:
            for there, function in self.functions[name]:
                if there.file != where.file and there.file.name != "wording.py":
                    continue
                for inner in ast.walk(function):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from self.starts(inner.value, Where(there.file, function))


def _name(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def _argument(call: ast.Call, keyword: str, position: int) -> ast.expr | None:
    for one in call.keywords:
        if one.arg == keyword:
            return one.value
    return call.args[position] if 0 <= position < len(call.args) else None


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names to which NODE assigns, each with its value."""
    targets: list[ast.expr] = []
    match node:
        case ast.Assign(targets=targets, value=value):
            pass
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            targets = [target]
        case ast.NamedExpr(target=target, value=value):
            targets = [target]
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            targets = [target]
        case _:
            return
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple):
            same = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
            for i, one in enumerate(target.elts):
                if isinstance(one, ast.Name):
                    yield one.id, value.elts[i] if same else value  # type: ignore[attr-defined]


def lines(package: Path = _PACKAGE) -> list[Line]:
    """Return how every help line of the modules in PACKAGE can start."""
    return list(Code(package).lines())
