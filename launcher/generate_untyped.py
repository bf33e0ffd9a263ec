"""Takes away from a module's text what is there for a checker of types alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_FUTURE = "from __future__ import annotations\n"


def without_types(text: str) -> str:
    """Return TEXT without annotations, and without what only a checker of types reads."""
    return _without_types(_plain(text))


def is_for_types(statement: ast.stmt) -> bool:
    """Tell whether STATEMENT is there for a type checker alone."""
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement) == "TYPE_CHECKING = False"
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _without_types(text: str) -> str:
    lines = text.splitlines(keepends=True)
    for statement in reversed(ast.parse(text).body):
        if is_for_types(statement):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "".join(lines)


def _plain(text: str) -> str:
    """Return TEXT without annotations: what is global may have none, and each launch would read
    them."""
    text = text.replace(_FUTURE, "")
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
