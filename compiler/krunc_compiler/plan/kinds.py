"""Kinds of values as JSON Schema: made from schema/krunc_schema/plan.json."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from krunc_schema import load

# A C string in UTF-8 has neither a NUL nor half of a character.
_TEXT = r"[^\u0000\ud800-\udfff]*"


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


def text_schema(
    row: dict[str, Any], pattern: str = _TEXT, form: str = "a text without a NUL character"
) -> dict[str, Any]:
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
    """Make the pattern of some numbers with a mark between them."""
    least, most = rule["least"] - 1, rule["most"] - 1
    number = f"({_number(rule['min'], rule['max'], rule['leading_zeros'])})"
    return f"{number}({re.escape(rule['between'])}{number}){{{least},{most}}}"


def _number(least: int, most: int, zeros: bool) -> str:
    """Make the pattern of the numbers from LEAST, 0 or 1, to MOST, of no more digits than that has;
    ZEROS may stand in front."""
    digits = str(most)
    first = "0" if zeros else "1"
    ways = [f"[{first}-9][0-9]{{0,{len(digits) - 2}}}"] if len(digits) > 1 else []
    if least == 0 and not zeros:
        ways.append("0")
    for i, digit in enumerate(digits):
        low = first if i == 0 else "0"
        if digit > low:
            rest = len(digits) - i - 1
            ways.append(
                f"{digits[:i]}[{low}-{int(digit) - 1}]" + (f"[0-9]{{{rest}}}" if rest else "")
            )
    return "|".join([*ways, digits])
