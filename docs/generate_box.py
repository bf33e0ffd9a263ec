"""Writes docs/reference/box.md from the schema of a box: python docs/generate_box.py"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from krunc_schema import load

PAGE = Path(__file__).parent / "reference" / "box.md"
_HEAD = """\
# Keys of a box

`docs/generate_box.py` writes this page from `schema/krunc_schema/box.schema.json`. For an editor,
use `krunc schema box`. In a key, `[]` is an item of a list and `NAME` a name of your choice.

"""
_ROW = "| key | type | default | what it does |\n| --- | --- | --- | --- |\n"
Row = tuple[str, str, str, str]


def page() -> str:
    """The text of the page."""
    schema = load("box.schema")
    parts = [_HEAD, "Required: " + ", ".join(f"`{key}`" for key in schema["required"]) + ".\n"]
    for key, value in schema["properties"].items():
        rows = dict.fromkeys(_rows(key, value, schema["$defs"], ()))
        parts.append(f"\n## {key}\n\n{_ROW}")
        parts += [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join(parts)


def _rows(key: str, value: Any, shared: Any, within: tuple[str, ...]) -> Iterator[Row]:
    """A row for KEY and for every key below it, one for each way in which it can be written."""
    if not isinstance(value, dict):
        return
    while "$ref" in value:
        name = value["$ref"].removeprefix("#/$defs/")
        if name in within:
            return
        within = (*within, name)
        value = {**shared[name], **{one: item for one, item in value.items() if one != "$ref"}}
    choices = [one for word in ("oneOf", "anyOf") for one in value.get(word, [])]
    told = value.get("description") or value.get("title")
    if told:
        yield _cells(key, value, choices, shared, told)
    for choice in choices:
        yield from _rows(key, choice, shared, within)
    for name, below in value.get("properties", {}).items():
        yield from _rows(f"{key}.{name}", below, shared, within)
    yield from _rows(f"{key}[]", value.get("items"), shared, within)
    yield from _rows(f"{key}.NAME", value.get("additionalProperties"), shared, within)


def _cells(key: str, value: Any, choices: list[Any], shared: Any, told: str) -> Row:
    kinds = dict.fromkeys(_types([value, *choices], shared))
    default = f"`{json.dumps(value['default'])}`" if "default" in value else "-"
    example = "".join(f" Example: `{json.dumps(one)}`." for one in value.get("examples", [])[:1])
    cells = (f"`{key}`", " or ".join(kinds) or "-", default, told.strip() + example)
    escaped = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
    return escaped[0], escaped[1], escaped[2], escaped[3]


def _types(values: list[Any], shared: Any) -> Iterator[str]:
    for value in values:
        if "$ref" in value:
            yield from _types([shared[value["$ref"].removeprefix("#/$defs/")]], shared)
        elif "const" in value:
            yield f"`{json.dumps(value['const'])}`"
        elif "enum" in value:
            yield from (f"`{json.dumps(one)}`" for one in value["enum"])
        elif "type" in value:
            kinds: list[str] = value["type"] if type(value["type"]) is list else [value["type"]]
            for kind in kinds:
                yield {"array": "list", "object": "mapping"}.get(kind, kind)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
