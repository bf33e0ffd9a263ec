"""Findings for machines: JSON, GitHub's annotations, SARIF 2.1.0, JUnit's XML."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from krunc_compiler.findings import catalogue
from krunc_compiler.findings.finding import Located, counts, dotted, ordered, placed
from krunc_compiler.findings.report import printable, report

_LINE = "\n"
_SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def formatted(findings: list[Located], form: str) -> str:
    """Return FINDINGS in a form of FORMS; json and sarif are whole documents, without findings
    too."""
    return FORMS[form](findings)


def _text(findings: list[Located]) -> str:
    return report(findings) if findings else ""


def document(findings: list[Located], **more: Any) -> dict[str, Any]:
    """Return FINDINGS as a JSON value, with MORE keys before them."""
    errors, warnings = counts(ordered(findings))
    return {**more, "errors": errors, "warnings": warnings, "findings": _rows(findings)}


def _json(findings: list[Located]) -> str:
    return json.dumps(document(findings), indent=2, ensure_ascii=True) + "\n"


def _rows(findings: list[Located]) -> list[dict[str, Any]]:
    return [_row(item) for item in ordered(findings)]


def _row(item: Located) -> dict[str, Any]:
    """Return a finding; lines and columns count from 1, the end is exclusive."""
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
    key, message, advice = map(printable, (dotted(finding.path), finding.message, finding.hint))
    return row | {"key": key, "message": message, "help": advice}


def _sentence(row: dict[str, Any]) -> str:
    return f"{row['key']}: {row['message']}" if row["key"] else str(row["message"])


def _github(findings: list[Located]) -> str:
    return "".join(map(_annotation, _rows(findings)))


def _annotation(row: dict[str, Any]) -> str:
    names = {"file": "file", "line": "line", "column": "col", "end_line": "endLine"}
    if row.get("end_line") == row.get("line"):
        names["end_column"] = "endColumn"  # GitHub takes columns only within one line
    properties = [
        f"{name}={_property(printable(str(row[key])))}" for key, name in names.items() if key in row
    ]
    properties.append(f"title=krunc {row['code']}")
    advice = f"\nhelp: {row['help']}" if row["help"] else ""
    return f"::{row['level']} {','.join(properties)}::{_data(_sentence(row) + advice)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(findings: list[Located]) -> str:
    # Only here: importlib.metadata takes as long to import as a small box to compile.
    from importlib.metadata import version

    rows = _rows(findings)
    codes = sorted({row["code"] for row in rows})
    driver = {
        "name": "krunc",
        "version": version("krunc"),
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, codes.index(row["code"])) for row in rows],
    }
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


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
    advice = f"\n{row['help']}" if row["help"] else ""
    uri = quote(os.fsencode(row["file"]), safe="/")
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
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
        # [text](target) would be a link.
        "message": {"text": (_sentence(row) + advice).replace("](", "] (")},
        "locations": [{"physicalLocation": place}],
    }


def junit(checked: Sequence[str], findings: list[Located]) -> str:
    """JUnit's XML: a test case for each file that was CHECKED, which fails by its errors."""
    said: dict[str, dict[str, list[str]]] = {name: {} for name in checked}
    for row in _rows(findings):
        line = f":{row['line']}:{row['column']}" if "line" in row else ""
        advice = f" ({row['help']})" if row["help"] else ""
        text = f"{row['file']}{line}: {row['level']}[{row['code']}]: {_sentence(row)}{advice}"
        said.setdefault(row["file"], {}).setdefault(row["level"], []).append(printable(text))
    cases = "".join(
        f'  <testcase classname="krunc" name={quoteattr(printable(name))}>'
        f"{_failure(texts.get('error', []))}{_output(texts.get('warning', []))}</testcase>\n"
        for name, texts in said.items()
    )
    failed = sum("error" in texts for texts in said.values())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name="krunc" tests="{len(said)}" failures="{failed}">\n'
        f"{cases}</testsuite>\n"
    )


def _failure(texts: list[str]) -> str:
    if not texts:
        return ""
    return f"<failure message={quoteattr(texts[0])}>{escape(_LINE.join(texts))}</failure>"


def _output(texts: list[str]) -> str:
    return f"<system-out>{escape(_LINE.join(texts))}</system-out>" if texts else ""


FORMS: dict[str, Callable[[list[Located]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
}
