"""Findings for programs: GitHub's annotations, SARIF 2.1.0, JUnit's XML, JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from krunc_compiler.findings import Located, dotted, span_of
from krunc_compiler.reporting import printable

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def records(findings: Sequence[Located]) -> list[dict[str, Any]]:
    """FINDINGS as JSON values; lines and columns count from 1."""
    return [_record(item) for item in findings]


def _record(item: Located) -> dict[str, Any]:
    source, finding = item
    span = span_of(source, finding)
    return {
        "level": "warning" if finding.warning else "error",
        "code": finding.code,
        "message": printable(finding.message),
        "hint": printable(finding.hint),
        "file": source.name,
        "key": printable(dotted(finding.path)),
        "line": span.line + 1 if span else None,
        "column": span.column + 1 if span else None,
        "end_line": span.end_line + 1 if span else None,
        "end_column": span.end_column + 1 if span else None,
    }


def sentence(record: dict[str, Any]) -> str:
    """A finding in one line: the key, what is wrong, the way out."""
    where = f"{record['key']}: " if record["key"] else ""
    hint = f" ({record['hint']})" if record["hint"] else ""
    return f"{where}{record['message']}{hint}"


def github(findings: Sequence[Located]) -> str:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    lines = []
    for record in records(findings):
        places = {"file": record["file"], "line": record["line"], "endLine": record["end_line"]}
        # Columns only count within one line.
        if record["line"] == record["end_line"]:
            places |= {"col": record["column"], "endColumn": record["end_column"]}
        places["title"] = f"krunc {record['code']}"
        given = ",".join(
            f"{name}={_property(printable(str(value)))}"
            for name, value in places.items()
            if value is not None
        )
        lines.append(f"::{record['level']} {given}::{_command(sentence(record))}\n")
    return "".join(lines)


def _command(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _command(text).replace(":", "%3A").replace(",", "%2C")


def sarif(findings: Sequence[Located], version: str) -> dict[str, Any]:
    """A SARIF 2.1.0 log of one run of krunc VERSION."""
    found = records(findings)
    codes = sorted({record["code"] for record in found})
    return {
        "$schema": SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "krunc",
                        "version": version,
                        "rules": [{"id": code} for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(record, codes) for record in found],
            }
        ],
    }


def _result(record: dict[str, Any], codes: list[str]) -> dict[str, Any]:
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(os.fsencode(record["file"]), safe="/")}
    }
    if record["line"] is not None:
        place["region"] = {
            "startLine": record["line"],
            "startColumn": record["column"],
            "endLine": record["end_line"],
            "endColumn": record["end_column"],
        }
    return {
        "ruleId": record["code"],
        "ruleIndex": codes.index(record["code"]),
        "level": record["level"],
        # [text](target) would be a link.
        "message": {"text": sentence(record).replace("](", "] (")},
        "locations": [{"physicalLocation": place}],
    }


def junit(checked: Sequence[str], findings: Sequence[Located]) -> str:
    """JUnit's XML: a test case for each file that was CHECKED."""
    failures: dict[str, list[str]] = {name: [] for name in checked}
    for record in records(findings):
        line = f":{record['line']}:{record['column']}" if record["line"] is not None else ""
        text = f"{record['file']}{line}: {record['level']}[{record['code']}]: {sentence(record)}"
        failures.setdefault(record["file"], []).append(text)
    cases = "".join(
        f'  <testcase classname="krunc" name={quoteattr(printable(name))}>'
        f"{_failure(texts)}</testcase>\n"
        for name, texts in failures.items()
    )
    failed = sum(map(bool, failures.values()))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name="krunc" tests="{len(failures)}" failures="{failed}">\n'
        f"{cases}</testsuite>\n"
    )


def _failure(texts: list[str]) -> str:
    if not texts:
        return ""
    first, whole = printable(texts[0]), "\n".join(map(printable, texts))
    return f"<failure message={quoteattr(first)}>{escape(whole)}</failure>"
