"""Kinds of values as JSON Schema: made from schema/krunc_schema/plan.json."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from krunc_schema import load

# A C string in UTF-8 has neither a NUL nor half of a character. Python takes twenty times as long
# for one set of both.
_TEXT = r"(?![\s\S]*\u0000)[^\ud800-\udfff]*"


def rules(kind: str) -> dict[str, Any]:
    """Return the row of KIND in the table."""
    row: dict[str, Any] = load("plan")["kinds"][kind]
    return row


@cache
def kind_schema(kind: str) -> dict[str, Any]:
    """Make the schema of the values of KIND, as far as JSON Schema can tell them."""
    row = rules(kind)
    if "min" in row:
        return {"type": "integer", "minimum": row["min"], "maximum": row["max"]}
    if "min_bytes" in row:
        return _host_path(row)
    form = _numbers(row["numbers"]) if "numbers" in row else row["pattern"]
    whole = f"(?=(.{{{row['multiple_of']}}})*$)" if "multiple_of" in row else ""
    schema = {"type": "string", "pattern": f"^{whole}{form}$", "x-form": row["form"]}
    if "except" in row:
        refused = "|".join(row["except"])
        schema |= {"not": {"pattern": f"^({refused})$"}, "x-not": row["why"]}
    return schema


_FORM = "a string without NUL or lone surrogates"


def text_schema(row: dict[str, Any], pattern: str = _TEXT, form: str = _FORM) -> dict[str, Any]:
    """Make the schema of a text of the rules in ROW and of PATTERN, which FORM tells. Its bytes are
    counted as characters, of which there are no more."""
    begin = re.escape(row.get("prefix", ""))
    schema: dict[str, Any] = {"type": "string", "pattern": f"^{begin}{pattern}$", "x-form": form}
    if row.get("min_bytes"):
        schema["minLength"] = 1
    if "max_bytes" in row:
        schema["maxLength"] = row["max_bytes"]
    return schema


def _host_path(row: dict[str, Any]) -> dict[str, Any]:
    parts = "|".join(map(re.escape, row["parts_refused"]))
    leaves = rf"^{re.escape(load('plan')['runtime'])}([\s\S]*/)?({parts})(/[\s\S]*)?$"
    return {**text_schema(row), "not": {"pattern": leaves}, "x-not": row["why"]}


def _numbers(rule: dict[str, Any]) -> str:
    """Make the pattern of some numbers with a mark between them. Of the largest number it tells
    only how many digits there are: Python takes long for the pattern that would tell more."""
    most = len(str(rule["max"]))
    number = f"[0-9]{{1,{most}}}"
    if not rule["leading_zeros"]:
        number = f"[1-9][0-9]{{0,{most - 1}}}"
        number = number if rule["min"] else f"(0|{number})"
    repeated = f"{{{rule['least'] - 1},{rule['most'] - 1}}}"
    return f"{number}({re.escape(rule['between'])}{number}){repeated}"
