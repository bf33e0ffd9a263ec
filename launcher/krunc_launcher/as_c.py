"""Operations as a C programmer would read them, for the dry run and for messages."""

from __future__ import annotations

from krunc_launcher._rules import ERAS, FUNCTIONS, IMPLICIT
from krunc_launcher.errors import quoted
from krunc_launcher.resolve.operation import Content, Named, Opened, Variable
from krunc_launcher.resolve.passt import STEP, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.resolve.operation import Operation

_COLUMN = 72


def listing(plan: dict[str, Any], done: list[Operation]) -> str:
    """Return all of a plan's operations, one a line, each with the key of the box behind it."""
    needs = plan["requires"]
    built = f" with {', '.join(needs['features'])}" if needs["features"] else ""
    name = ERAS[plan["api"]]["name"]
    needed = f"needs libkrun >= {needs['libkrun']}{built}"
    lines = [f"/* {plan['box']}: {len(done)} operations for {name}, {needed} */"]
    for operation in done:
        text = f"{_LABELS[operation.kind]}  {written(operation)}"
        note = operation.origin.replace("*/", "* /")
        if operation.warn:
            note += "; a failure is only a warning"
        shown = quoted(note)[1:-1]
        lines.append(
            f"{text:<{_COLUMN}} /* {shown} */" if len(text) < _COLUMN else f"{text}  /* {shown} */"
        )
    return "\n".join(lines) + "\n"


_LABELS = {"call": "call", "step": "step", "order": "order", "implicit": "note"}


def written(operation: Operation) -> str:
    """Return one operation: a C call, a host step, an order of the stage, or what libkrun does by
    itself."""
    if operation.kind == "implicit":
        doc = next(row["doc"] for row in IMPLICIT if row["name"] == operation.name)
        return f"implicit {operation.name}: {doc}"
    if operation.name == STEP:
        words = command(operation, f"/* a socket, opened as {operation.argument('name')} */")
        return " ".join([STEP, quoted(operation.argument("program")), *words])
    if operation.kind != "call":
        params = operation.rule["params"]
        return " ".join([operation.name, *map(_c, params, operation.values)])
    params = FUNCTIONS[operation.name]["params"]
    values = ", ".join(map(_c, params, operation.values))
    start = "ctx = " if FUNCTIONS[operation.name]["role"] == "create" else ""
    return f"{start}{operation.name}({values});"


def _c(rule: dict[str, Any], value: Any) -> str:
    if rule["kind"] == "context":
        return "ctx"
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Named):
        return value.c
    if isinstance(value, Opened):
        return f"/* opened as */ {quoted(value.name)}"
    if isinstance(value, Content):
        return _content(rule, value)
    if isinstance(value, bytes):
        return "{" + ", ".join(f"0x{byte:02x}" for byte in value) + "}"
    items = [_item(item) for item in value]
    return "{" + ", ".join([*items, "NULL"] if rule["kind"] != "u16s" else items) + "}"


def _content(rule: dict[str, Any], content: Content) -> str:
    if content.path:
        what = "the size" if rule["kind"] == "length" else "the content"
        return f"/* {what} of */ {quoted(content.path)}"
    if rule["kind"] == "length":
        # With a secret in it, its real size is known only at launch.
        return "/* its size */" if content.secret else str(len(content.load()))
    return quoted(content.shown)


def _item(item: Any) -> str:
    if isinstance(item, Variable):
        return quoted(f"{item.name}={item.secret}" if item.secret else f"{item.name}={item.text}")
    return quoted(item) if isinstance(item, str) else str(item)
