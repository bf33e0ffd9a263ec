"""A plan for a reader at a terminal."""

from __future__ import annotations

from typing import Any

from krunc_compiler import api
from krunc_compiler.plan import Plan
from krunc_compiler.reporting import printable
from krunc_compiler.review.facts import Fact, facts

_BOLD, _RED, _DIM, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_WIDTH = 100
_LOUD = ("writes", "network", "listens", "secrets")


def show(plan: Plan, colour: bool) -> str:
    """What the VM is, what of the host it reaches, then every operation in order."""
    found = facts(plan)
    era = api.table()["eras"][plan.era]["name"]
    needs = plan.requires
    built = f", built with {', '.join(needs['features'])}" if needs["features"] else ""
    lines = [
        _paint(f"{plan.box}", _BOLD, colour) + f": a plan for {era}",
        f"needs libkrun {needs['libkrun']} or newer{built}",
        *(f"  because of {row['call']} ({row['from']})" for row in needs["because"]),
        "",
        _paint("THE VM", _BOLD, colour),
        *_table(found.machine, colour),
        "",
        _paint("WHAT OF THE HOST IT REACHES", _BOLD, colour),
        *(_table(found.exposure, colour) or ["  nothing"]),
        "",
        _paint("OPERATIONS, in order, and the key of the box that asks for each", _BOLD, colour),
        *_operations(plan, colour),
    ]
    return "\n".join(lines) + "\n"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_PLAIN}" if colour else text


def _table(rows: list[Fact], colour: bool) -> list[str]:
    lines = []
    last = ""
    for row in rows:
        label = "" if row.kind == last else row.kind
        last = row.kind
        text = printable(row.text)
        gap = " " * max(2, 62 - len(text))
        shown = _paint(text, _RED, colour and row.kind in _LOUD)
        lines.append(f"  {label:<9} {shown}{gap}{_paint(printable(row.origin), _DIM, colour)}")
    return lines


def _operations(plan: Plan, colour: bool) -> list[str]:
    lines = []
    for number, row in enumerate(plan.operations, 1):
        kind = next(kind for kind in ("call", "step", "implicit") if kind in row)
        arguments = ", ".join(
            f"{name}={_value(value)}" for name, value in row.get("args", {}).items()
        )
        text = (
            f"{row[kind]}({arguments})" if kind == "call" else f"{row[kind]} {arguments}".rstrip()
        )
        if row.get("on_failure"):
            text += ", a failure is a warning"
        origin = _paint(printable(row["from"]), _DIM, colour)
        pieces = _folded(printable(text))
        lines.append(f"  {number:>3} {kind:<8} {pieces[0]}")
        lines += [f"               {piece}" for piece in pieces[1:]]
        lines[-1] += f"  {origin}" if len(lines[-1]) < _WIDTH else f"\n               {origin}"
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, dict):
        if set(value) == {"from_env"}:
            return f"<from_env {value['from_env']}>"
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def _folded(text: str) -> list[str]:
    room = _WIDTH - 15
    pieces = []
    while len(text) > room:
        cut = text.rfind(", ", 20, room) + 1 or room
        pieces.append(text[:cut])
        text = "  " + text[cut:].lstrip()
    return [*pieces, text]
