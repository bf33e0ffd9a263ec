"""Findings for machines: JSON, GitHub's annotations, SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from krunc_compiler import catalogue
from krunc_compiler.findings import Located, counts, dotted, ordered, placed
from krunc_compiler.reporting import report

_SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def formatted(findings: list[Located], form: str) -> str:
    """FINDINGS in a form of FORMS; json and sarif are whole documents, without findings too."""
    return FORMS[form](findings)


def _text(findings: list[Located]) -> str:
    return report(findings) if findings else ""


def _json(findings: list[Located]) -> str:
    errors, warnings = counts(ordered(findings))
    rows = [_row(item) for item in ordered(findings)]
    document = {"errors": errors, "warnings": warnings, "findings": rows}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _row(item: Located) -> dict[str, Any]:
    """A finding; lines and columns count from 1, the end is exclusive."""
    finding = item.finding
    source, span = placed(item)
    row: dict[str, Any] = {
        "code": finding.code,
        "level": "warning" if finding.warning else "error",
        "file": source.name,
    }
    if span is not None:
        row |= {"line": span.line + 1, "column": span.column + 1}
        row |= {"end_line": span.end_line + 1, "end_column": span.end_column + 1}
    return row | {"key": dotted(finding.path), "message": finding.message, "help": finding.hint}


def _github(findings: list[Located]) -> str:
    return "".join(_annotation(_row(item)) for item in ordered(findings))


def _annotation(row: dict[str, Any]) -> str:
    names = {"file": "file", "line": "line", "column": "col", "end_line": "endLine"}
    if row.get("end_line") == row.get("line"):
        names["end_column"] = "endColumn"  # GitHub takes columns only within one line
    properties = [f"{name}={_property(str(row[key]))}" for key, name in names.items() if key in row]
    properties.append(f"title={row['code']}")
    where = f"{row['key']}: " if row["key"] else ""
    advice = f"\nhelp: {row['help']}" if row["help"] else ""
    text = _data(where + row["message"] + advice)
    return f"::{row['level']} {','.join(properties)}::{text}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(findings: list[Located]) -> str:
    rows = [_row(item) for item in ordered(findings)]
    codes = sorted({row["code"] for row in rows})
    driver = {"name": "krunc", "rules": [_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, codes.index(row["code"])) for row in rows],
    }
    document = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _rule(code: str) -> dict[str, Any]:
    entry = catalogue.entry(code)
    if entry is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.what},
        "help": {"text": entry.way_out},
    }


def _result(row: dict[str, Any], rule: int) -> dict[str, Any]:
    where = f"{row['key']}: " if row["key"] else ""
    advice = f"\n{row['help']}" if row["help"] else ""
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(row["file"])}}
    if "line" in row:
        place["region"] = {
            "startLine": row["line"],
            "startColumn": row["column"],
            "endLine": row["end_line"],
            "endColumn": row["end_column"],
        }
    return {
        "ruleId": row["code"],
        "ruleIndex": rule,
        "level": row["level"],
        "message": {"text": where + row["message"] + advice},
        "locations": [{"physicalLocation": place}],
    }


FORMS: dict[str, Callable[[list[Located]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
}
