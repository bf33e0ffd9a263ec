"""Findings for machines: the streams they go to, and the standards they keep."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Finding, Located, Source, Span
from krunc_compiler.findings.formats import FORMS, formatted
from krunc_compiler.findings.report import report
from terminals import on_terminal

GOOD = """\
krunc: 1
name: good
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/true}
"""
BAD = GOOD + "memroy: 1\nshares: [{tag: é, path: /}, {tag: é, path: a}]\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD)
    Path("a, b:100%.yaml").write_text(BAD)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "a, b:100%.yaml", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert err == "krunc: 2 errors, 1 warning\n"
    value = json.loads(out)
    assert (value["errors"], value["warnings"]) == (2, 1)
    assert value["findings"][0] == {
        "code": "KR101", "level": "error", "file": "a, b:100%.yaml",
        "line": 6, "column": 1, "end_line": 6, "end_column": 7,
        "key": "memroy", "message": "the key 'memroy' is not known",
        "help": value["findings"][0]["help"],
    }  # fmt: skip
    codes = [finding["code"] for finding in value["findings"]]
    assert codes == ["KR101", "KR201", "KR602"], "a wrong key hides no other mistake"


def test_github(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "a, b:100%.yaml", "--format", "github"]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    place = "file=a%2C b%3A100%25.yaml,line=6,col=1,endLine=6,endColumn=7,title=krunc KR101"
    assert first.startswith(f"::error {place}::memroy: the key 'memroy' is not known%0Ahelp: ")
    assert second.startswith("::error file=")
    assert third.startswith("::warning file=")


def test_sarif_keeps_its_schema(sarif_schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(sarif_schema.read_text())
    validator = Draft7Validator({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})
    for box, count in (("a, b:100%.yaml", 3), ("good.yaml", 0), ("missing.yaml", 1)):
        main(["compile", box, "--format", "sarif"])
        log = json.loads(capsys.readouterr().out)
        assert [error.message for error in validator.iter_errors(log)] == []
        (run,) = log["runs"]
        assert len(run["results"]) == count
        for result in run["results"]:
            rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
            assert rule["id"] == result["ruleId"]
    assert not validator.is_valid({"version": "2.1.0", "runs": [{"tool": {}}]})


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_a_document_without_findings(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "good.yaml", "--format", form]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert err == "krunc: wrote good.plan.json\n"


@pytest.mark.parametrize("form", ["json", "github", "sarif"])
def test_the_plan_has_standard_output_for_itself(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = GOOD + "shares: [{tag: a, path: /}]\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["compile", "-", "--format", form]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["box"] == "good"
    assert "KR602" in err


def test_check_keeps_a_machine_format_clean(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.plan.json").write_text("{}\n")
    assert main(["compile", "--check", "good.yaml", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["findings"][0]["code"] == "KR301"
    assert "+{" in err


def test_errors_come_first_and_nothing_twice() -> None:
    source = Source("x", "a\nb\n", {})
    late = Finding("KR101", "late", span=Span(1, 0, 1, 1))
    soon = Finding("KR101", "soon", span=Span(0, 0, 0, 1))
    doubt = Finding("KR601", "doubt", span=Span(0, 0, 0, 1))
    found = [Located(source, item) for item in (doubt, late, soon, late)]
    rows = json.loads(formatted(found, "json"))["findings"]
    assert [row["message"] for row in rows] == ["soon", "late", "doubt"]
    assert report(found).endswith("krunc: 2 errors, 1 warning\n")


def test_colours_are_for_terminals_only() -> None:
    found = [Located(Source("x", "a\n", {}), Finding("KR101", "m", span=Span(0, 0, 0, 1)))]
    assert "\x1b" not in report(found)
    painted = report(found, colour=True)
    assert "\x1b[31;1merror[KR101]\x1b[0m" in painted
    for code in ("31;1", "33;1", "36", "1", "0"):
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted == report(found)


@pytest.mark.parametrize(
    ("variables", "colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colours_unless_it_says_no(
    variables: dict[str, str], colours: bool
) -> None:
    Path("bad.yaml").write_text(BAD)
    main(["compile", "good.yaml"])
    for words, stream in (
        (["compile", "bad.yaml"], "stderr"),
        (["show", "good.plan.json"], "stdout"),
    ):
        environment = {**os.environ, "TERM": "xterm", **variables}
        command = [sys.executable, "-m", "krunc", *words]
        _, written = on_terminal(command, environment, [stream])
        assert written
        assert (b"\x1b[" in written) == colours


@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_stay_text(form: str) -> None:
    source = Source("\x1b[31m\n::error::x", "\x1b\n", {})
    found = [Located(source, Finding("KR101", "\x1b]0;x\x07\n::error::y", span=Span(0, 0, 0, 1)))]
    text = formatted(found, form)
    assert "\n::error::" not in text
    assert form == "github" or "\x1b" not in text
