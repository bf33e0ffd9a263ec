"""The options that people write and that a box has as keys: of krunc_schema/habits.json and the
schema of boxes. The launcher has the table as a module of its own (launcher/generate_krun.py)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from krunc_schema import load

# Whose keys people know as options, beside those at the top of a box.
_UNDER = ("machine", "entrypoint", "network", "rootfs")


# How advice starts that holds for each command; other advice is about a launch alone.
_KEY = "its box has it"


def of_option(word: str) -> str:
    """Tell by which key a box has what the option WORD says in other tools, if one does."""
    said = _table().get(word.partition("=")[0], "")
    return said if said.startswith(_KEY) else ""


@cache
def _table() -> dict[str, str]:
    return box_options(load("habits"), load("box.schema"))


def box_options(habits: dict[str, Any], schema: dict[str, Any]) -> dict[str, str]:
    """Return what is said of an option that krunc launch does not have, by the option."""
    rows = habits["keys"][""]
    examples = {row["to"][0]: row["write"] for row in rows if "write" in row}
    nested = (([f"{under}.{key}"], key) for under, key in _below(schema))
    known = [*nested, *(([key], key) for key in schema["properties"])]
    said = {_option(key): _box_has(keys, examples) for keys, key in known}
    for row in rows:
        parts = (_box_has(row.get("to", []), examples), row.get("say", ""))
        said |= {_option(name): "; ".join(filter(None, parts)) for name in row["names"]}
    for row in habits["options"]:
        advice = said[_option(row["like"])] if "like" in row else row["say"]
        said |= dict.fromkeys(row["names"], advice)
    return said


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _box_has(keys: list[str], examples: dict[str, str]) -> str:
    """Tell by which KEYS a box has it, with an example of one."""
    if not keys:
        return ""
    write = f"; write {examples[keys[0]]}" if keys[0] in examples else ""
    return f"{_KEY}, as {' or '.join(keys)}{write}"


def _below(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of the maps that people know, the best known map last."""
    for under in reversed(_UNDER):
        rule = schema["properties"][under]
        for form in rule.get("oneOf", [rule]):
            for key in form.get("properties", ()):
                yield under, key
