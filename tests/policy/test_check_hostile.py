"""No text of a box, a plan or a file's name can fake or hide anything in what krunc check prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hostile import HOSTILE, hostile, is_seen, leaves
from krunc_compiler.findings.finding import Finding, Located, Source, Span
from krunc_compiler.findings.formats import formatted, junit
from krunc_compiler.findings.report import report
from krunc_compiler.policy.files import policy_of
from krunc_compiler.review.summary import review

# It forbids all that a rule can forbid.
STRICT = """\
krunc_policy: 1
allow: {writes: [], reads: [], roots: [], sockets: [], networks: [], ports: [], secrets: [],
  devices: [], memory: 1MiB, cpus: 1, names: other}
labels: [owner]
isolation: [network, ports, sockets, files, secrets, devices, kernel, nesting, user, confinement]
"""
EMPTY = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "properties": {"operations": {"items": {"properties": {"args": {"maxProperties": 0}}}}},
}


def of_policies(text: str, directory: Path) -> list[Located]:
    """What two policies find in a plan of every operation, in which each string is TEXT."""
    (directory / "strict.yaml").write_text(STRICT)
    (directory / "schema.json").write_text(json.dumps(EMPTY))
    plan = review(hostile(text))
    source = Source("p.plan.json", json.dumps(plan.value, ensure_ascii=False), {})
    return [
        Located(source, finding)
        for name in ("strict.yaml", "schema.json")
        for finding in policy_of(str(directory / name)).judge(plan, "/somewhere")
    ]


def of_anything(text: str, _: Path) -> list[Located]:
    """A finding that has TEXT wherever a finding has a text, the name of its file included."""
    name = text.replace("\ud800", "\udcff").replace("\udfff", "\udcfe")  # no UTF-8
    source = Source(name, text, {})
    return [Located(source, Finding("KR101", text, (text,), text, span=Span(0, 0, 0, 3)))]


def printed(found: list[Located]) -> Iterator[tuple[str, list[str]]]:
    """The lines that a reader sees, by format."""
    yield "text", report(found).split("\n")
    annotations = formatted(found, "github").split("\n")
    assert all(line.startswith("::error file=") for line in annotations[:-1])
    assert len(annotations[:-1]) == len(json.loads(formatted(found, "json"))["findings"])
    yield "github", annotations
    rows = json.loads(formatted(found, "json"))["findings"]
    yield "json", [str(row[key]) for row in rows for key in ("key", "message", "help")]
    sarif = formatted(found, "sarif")
    assert sarif.isascii()
    assert "](" not in sarif
    results: Any = json.loads(sarif)["runs"][0]["results"]
    yield "sarif", [line for text in leaves(results) for line in text.split("\n")]
    xml = junit([], found)
    suite = ElementTree.fromstring(xml)
    assert {element.tag for element in suite.iter()} == {"testsuite", "testcase", "failure"}
    yield "junit", xml.split("\n")


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("made", [of_policies, of_anything])
def test_every_format(
    made: Callable[[str, Path], list[Located]], kind: str, tmp_path: Path
) -> None:
    found = made(HOSTILE[kind], tmp_path)
    assert found
    forms = set()
    for form, lines in printed(found):
        assert all(map(is_seen, lines)), form
        forms.add(form)
    assert len(forms) == 5


def test_the_marks_stand_under_what_is_escaped() -> None:
    source = Source("x", "a: \u05d0\u0301b # c", {})
    text = report([Located(source, Finding("KR101", "m", span=Span(0, 5, 0, 6)))])
    assert text.splitlines()[1:3] == ["    1 | a: \\u05d0\\u0301b # c", "      |                ^"]
