"""Another tool's configuration, read: within bounds, and of the shape that its schema says."""

from __future__ import annotations

from typing import Any

from krunc_schema import load

from krunc_compiler.findings.finding import Finding, Source, reject
from krunc_compiler.plan import bounds
from krunc_compiler.shape.checking import check
from krunc_compiler.text.parsing import parse

_HINT = "name the file that the other tool reads"


def configuration(name: str, text: str, schema: str) -> tuple[Any, Source]:
    """Return the value of TEXT, which came from NAME, and its source. Raises Rejected for what is
    no YAML, what by aliases is longer than any plan, and what does not fit the SCHEMA of that name.
    """
    value, source = parse(name, text, Finding("KR512", "the file is empty", hint=_HINT))
    findings = bounds.overweight(value) or check(value, load(schema))
    if findings:
        raise reject(source, findings)
    return value, source
