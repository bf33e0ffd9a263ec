"""Writes docs/reference/plan.md from the plan's schema and tables: python docs/generate_plan.py"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from krunc_compiler.plan.schema import head_schema, operation_schemas
from krunc_schema import load

PAGE = Path(__file__).parent / "reference" / "plan.md"
_HEAD = """\
# Plans

`docs/generate_plan.py` writes this page from `plan.schema.json`, `krun.json`, `steps.json`, and
`orders.json` in `schema/krunc_schema`. `krunc schema plan` prints the whole JSON Schema.

A plan is JSON: a head, and a list of operations in the order in which the launcher takes them. The
launcher refuses a plan with any other key, operation, or value.
[Reviews](../review.md) say what the operations mean for the host.
"""
_KINDS = """
## Operations

An operation has one of these keys, with its name. `from` is the key of the box that asks for it, or
`default`; the launcher ignores it. `args` has all arguments, by name.

| key | what it is |
| --- | --- |
| `call` | a call of a libkrun function |
| `step` | what the launcher checks or does on the host between the calls |
| `order` | what the stage, krunc's first program in the guest, does there |
| `implicit` | a note: what libkrun does because a call is absent |

`"on_failure": "warn"` is at a call whose failure does not end the launch. Only the call that
opens libkrun's log can have it.
"""
_VALUES = """
## Values

Where an argument or key names one of these, its value has this form:

"""
_CALLS = """
## Calls

[libkrun functions](../libkrun.md) has the keys and the versions of each. The handle of the VM
(`ctx_id`) is not an argument in a plan.

"""
_STEPS = """
## Steps

A precondition is checked before the first call. An action is done in its place.

"""
_ORDERS = """
## Orders

Orders are in the plan in the order of this table. Only a box with a key that needs the stage has
any.

"""
_IMPLICIT = """
## Implicit

"""
_MOST_NAMES = 16
_PLURAL = {"string": "strings", "mapping": "mappings"}


def page() -> str:
    """The text of the page."""
    schema = head_schema()
    tables = load("krun")
    parts = [_HEAD, "\n## The head\n\n"]
    parts.append(_table(("key", "type", "required", "what it is"), _keys("", schema)))
    parts += [_KINDS, _CALLS, _operations("call", tables["functions"])]
    parts += [_STEPS, _operations("step", load("steps")["steps"])]
    parts += [_ORDERS, _operations("order", load("orders")["orders"])]
    notes = dict.fromkeys((f"`{row['name']}`", row["doc"]) for row in tables["implicit"])
    parts += [_IMPLICIT, _table(("name", "what libkrun does"), notes)]
    parts += [_VALUES, _table(("value", "what it is"), _values(schema["$defs"]))]
    return "".join(parts)


def _keys(above: str, schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each key of the head, with those below it."""
    for name, value in schema["properties"].items():
        key = f"{above}{name}"
        required = "yes" if name in schema.get("required", ()) else "no"
        yield f"`{key}`", _type(value), required, value.get("description", "-")
        if "properties" in value:
            yield from _keys(f"{key}.", value)
        elif "properties" in value.get("items", {}):
            yield from _keys(f"{key}[].", value["items"])


def _operations(kind: str, rows: dict[str, Any]) -> str:
    """The table of the operations of a KIND, of which ROWS are the table that krunc has."""
    schemas = operation_schemas()
    phases = any("phase" in row for row in rows.values())
    heads = (kind, *(["phase"] if phases else []), "arguments", "what it does")
    lines = []
    for name, row in rows.items():
        if (kind, name) in schemas:
            given = schemas[kind, name]["properties"].get("args", {}).get("properties", {})
            units = {param["name"]: param.get("unit", "") for param in row["params"]}
            told = (_argument(key, value, units[key]) for key, value in given.items())
            phase = (row["phase"],) if phases else ()
            lines.append((f"`{name}`", *phase, "<br>".join(told) or "-", row["doc"]))
    return _table(heads, lines)


def _argument(name: str, schema: dict[str, Any], unit: str) -> str:
    return f"`{name}`: {_type(schema, f' {unit}' if unit else '')}"


def _type(schema: dict[str, Any], unit: str = "") -> str:
    """Return what a value of SCHEMA is, in words; a number has a UNIT."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return "string" if name == "from" else f"[{name}](#values)"
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(_type(one, unit) for one in schema["oneOf"]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        more = len(schema["enum"]) - _MOST_NAMES
        names = [f"`{one}`" for one in schema["enum"][:_MOST_NAMES]]
        return ", ".join(names) + (f", and {more} more" if more > 0 else "")
    match schema.get("type"):
        case "integer":
            least, most = schema["minimum"], schema["maximum"]
            return f"integer, {least} to {most}{unit}" if least < most else str(least)
        case "array":
            return f"list of {_PLURAL.get(items := _type(schema['items']), items)}"
        case "object":
            values = schema.get("additionalProperties")
            return f"mapping to {_type(values)}" if values else "mapping"
        case None:
            return "-"
        case other:
            return "`null`" if other == "null" else str(other)


def _values(defs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("late", "content", "opened"):
        told = defs[name].get("description") or defs[name]["title"]
        ways = defs[name].get("oneOf", [defs[name]])
        keys = ", ".join(f"`{key}`" for way in ways for key in way["properties"])
        yield (
            name,
            f"a mapping with one of the keys {keys}: {told}"
            if "," in keys
            else (f"a mapping with the key {keys}: {told}"),
        )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([_cell(one) for one in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
