"""The whole box as understood: every default filled in, and where each value came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from krunc_schema import load

from krunc_compiler.findings.finding import Path, Place
from krunc_compiler.findings.report import printable
from krunc_compiler.pipeline.compiling import Loaded, compile_all, evaluated, load_box
from krunc_compiler.shape.defaults import filled
from krunc_compiler.values.braces import has_expressions, literal
from krunc_compiler.values.inputs import Inputs

_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_NOT_WORDS = frozenset(["true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL"])
_COLUMN = 48


def effective(name: str, text: str, inputs: Inputs) -> str:
    """Return the boxes in TEXT, from the file NAME, as YAML with the origin of each value.

    Each is a box that compiles to the same plan. Raises Rejected when one is wrong.
    """
    compile_all(name, text, inputs)
    loaded = load_box(name, text, inputs)
    return "---\n".join(_one(loaded, row) for row in loaded.rows)


def _one(loaded: Loaded, row: dict[str, Any]) -> str:
    schema = load("box.schema")
    value, _ = evaluated(loaded, row)
    complete = filled(value, schema)
    for key in ("vars", "matrix", "allow"):
        complete.pop(key, None)
    # In the order of the schema, whichever file says what.
    complete = {key: complete[key] for key in schema["properties"] if key in complete}
    variables = loaded.variables(row)
    head = ["# variables:"] if variables else []
    head += [
        f"{f'#   {name}: {json.dumps(item)}':<{_COLUMN}}  # {_given(name, row, loaded)}"
        for name, item in variables.items()
    ]
    lines = [*map(printable, head), *_lines(complete, (), "", loaded)]
    return "\n".join(lines) + "\n"


def _given(name: str, row: dict[str, Any], loaded: Loaded) -> str:
    """Tell where the value of the variable NAME comes from."""
    if name in row:
        return "matrix"
    default = loaded.source.places.get(("vars", name, "default"))
    return loaded.known.changed.get(name) or _line(
        default or loaded.source.places["vars", name], loaded
    )


def _line(place: Place, loaded: Loaded) -> str:
    return f"{(place.source or loaded.source).name}:{place.value.line + 1}"


def _lines(value: dict[str, Any], path: Path, indent: str, loaded: Loaded) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{indent}{_word(key)}:", item, (*path, key), indent, loaded)


def _entry(head: str, item: Any, path: Path, indent: str, loaded: Loaded) -> Iterator[str]:
    if isinstance(item, dict) and item:
        yield head
        yield from _lines(item, path, indent + "  ", loaded)
    elif isinstance(item, list) and item:
        yield head
        for i, inner in enumerate(item):
            yield from _item(inner, (*path, i), indent + "  ", loaded)
    else:
        yield _valued(f"{head} {_scalar(item)}", path, loaded)


def _item(item: Any, path: Path, indent: str, loaded: Loaded) -> Iterator[str]:
    if not isinstance(item, dict) or not item:
        yield _valued(f"{indent}- {_scalar(item)}", path, loaded)
        return
    lines = list(_lines(item, path, indent + "  ", loaded))
    yield f"{indent}- {lines[0].lstrip()}"
    yield from lines[1:]


def _valued(text: str, path: Path, loaded: Loaded) -> str:
    return f"{text:<{_COLUMN}}  # {printable(_origin(path, loaded))}"


def _origin(path: Path, loaded: Loaded) -> str:
    place = loaded.source.places.get(path)
    if place is None:
        return "default"
    raw: Any = loaded.value
    for part in path:
        if not isinstance(raw, dict | list) or (
            isinstance(raw, list) and part not in range(len(raw))
        ):
            break
        raw = raw.get(part) if isinstance(raw, dict) else raw[int(part)]
    where = _line(place, loaded)
    return f"{where}, from {raw}" if isinstance(raw, str) and has_expressions(raw) else where


def _word(key: str) -> str:
    return key if _WORD.fullmatch(key) and key not in _NOT_WORDS else json.dumps(key)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _word(literal(value))
    return json.dumps(value)
