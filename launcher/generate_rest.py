"""Tells which functions of a module no launch calls that goes well, and takes the module apart."""

from __future__ import annotations

import ast
from pathlib import Path

# Modules that stay whole, or rooms of them: they run in a process that is confined, is another user
# or has waited for days, which may find no file any more.
_WHOLE = (
    "__main__", "_krun", "_rules", "_stage_rules", "errors", "host.landlock", "launch", "messages",
    "paths", "resolve.operation", "supervise", "system", "vm",
)  # fmt: skip
_LISTED = Path(__file__).parent / "launch_functions.txt"


def rare_functions(package: Path, name: str) -> list[str]:
    """Return the functions of a module that no launch calls which goes well."""
    room = name.partition(".")[0]
    if name in _WHOLE or room in _WHOLE:
        return []
    text = (package / f"{name.replace('.', '/')}.py").read_text("utf-8")
    rows = dict(line.split(":") for line in _LISTED.read_text("utf-8").splitlines())
    common = rows.get(name, "").split()
    return [
        statement.name
        for statement in ast.parse(text).body
        if isinstance(statement, ast.FunctionDef) and statement.name not in common
    ]


def part(text: str, rare: list[str], rest: bool) -> str:
    """Return TEXT without the functions that are RARE, or, for the REST, these alone."""
    lines = text.splitlines(keepends=True)
    kept = [not rest] * len(lines)
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.FunctionDef) and statement.name in rare:
            first = min([statement.lineno, *(each.lineno for each in statement.decorator_list)])
            kept[first - 1 : statement.end_lineno] = [rest] * (
                (statement.end_lineno or 0) - first + 1
            )
    return "".join(line for line, keep in zip(lines, kept, strict=True) if keep)
