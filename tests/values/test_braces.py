"""Braces in scripts and arguments: what stands there reaches the guest, or is refused with the way
out; and the way out is one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.__main__ import main
from krunc_compiler.plan.digest import digest
from krunc_compiler.text.parsing import parse
from krunc_compiler.values.braces import literal
from krunc_compiler.values.rendering import render
from places import ROOT

VARIABLES = {"port": 8080, "name": "web"}

# Nothing in them opens an expression.
PLAIN = [
    "${#array[@]} ${#x}",
    "{# a comment #}",
    "{% if x %} {% endif %} {%- raw -%}",
    "printf '{%s}' x",
    "curl -w '%{http_code}' {%",
    "awk '{print $1}' | sed 's/}}/}/'",
    "find -exec echo {} \\;",
    "${x%}} }}",
    "{ { x } }",
    "line\r\n{# a\r #}",
]
# An expression by its braces, but none that a box can mean.
REFUSED = {
    "{{80}}": "KR025",
    "{{ 3 }}": "KR025",
    "${{ 3 }}": "KR025",
    "{{ 'x' }}": "KR025",
    "{{ 1 + 2 }}": "KR025",
    "{{ 'a' ~ 'b' | upper }}": "KR025",
    "{{ true }}": "KR025",
    "{{ none }}": "KR025",
    "{{ [1, 2] }}": "KR025",
    "{{ {'a': 1} }}": "KR025",
    "{{}}": "KR020",
    "{{ }}": "KR020",
    "{{.Names}}": "KR020",
    "{{json .}}": "KR020",
    "{{range .Items}}x{{end}}": "KR020",
    '{{ .State | printf "%s" }}': "KR020",
    "${{ github.sha }}": "KR020",
    "${{ secrets.TOKEN }}": "KR020",
    "{{#if x}}": "KR020",
    "{{{ raw }}}": "KR020",
    "{{ a ? b : c }}": "KR020",
    "f'{{x!r}}'": "KR020",
    "{{ not closed": "KR020",
    "{{ __class__ }}": "KR020",
    "a{{\n80\n}}": "KR025",
    "{{ 'it''s' }}": "KR025",
}
PARTS = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{",
        "}",
        "'",
        '"',
        "\\",
        "\r",
        "\n",
        " ",
        "a",
        "80",
        "é",
        "{{ port }}",
    ]
)


def rendered(text: str) -> tuple[object, list[str], list[str]]:
    """The value, the codes and the ways out of a box's text."""
    source = parse("x", yaml.safe_dump({"a": text}))[1]
    found = render({"a": text}, VARIABLES, source)
    codes = [finding.code for finding in found.findings]
    return found.value["a"], codes, [finding.hint for finding in found.findings]


@pytest.mark.parametrize("text", PLAIN)
def test_text_stays(text: str) -> None:
    assert rendered(text) == (text, [], [])
    assert rendered(f"{text} {{{{ port }}}}")[1] == []


@pytest.mark.parametrize("text", REFUSED)
def test_it_is_refused_with_the_way_out(text: str) -> None:
    _, codes, hints = rendered(text)
    assert set(codes) == {REFUSED[text]}
    for hint in hints:
        assert "{{ '{{" in hint
    # What each finding advises, done.
    for hint in hints:
        advised = re.findall(r"\{\{ '(.*)' \}\} where", hint)[0]
        assert advised == "{{" or advised in text
        text = (
            text.replace(advised, f"{{{{ '{advised}' }}}}", 1) if advised != "{{" else literal(text)
        )
    assert rendered(text)[1] == []


@given(st.lists(PARTS, max_size=12).map("".join))
def test_every_text_can_be_written(text: str) -> None:
    assert rendered(literal(text))[:2] == (text, [])


@pytest.mark.parametrize("text", [*PLAIN, *REFUSED, "{{ '{{' }}", "{{ port }}"])
def test_the_box_as_understood_is_the_same_box(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    value = {
        "krunc": 1, "name": "x", "rootfs": {"path": "./r"}, "network": {"mode": "none"},
        "entrypoint": {"script": literal(text)},
    }  # fmt: skip
    Path("x.yaml").write_text(yaml.safe_dump(value))
    assert main(["compile", "x.yaml", "--target", "2"]) == 0
    capsys.readouterr()
    assert main(["show", "--effective", "x.yaml", "--target", "2"]) == 0
    Path("y.yaml").write_text(capsys.readouterr().out)
    assert main(["compile", "y.yaml", "--target", "2"]) == 0
    one, other = (digest(json.loads(Path(f"{name}.plan.json").read_text())) for name in "xy")
    assert one == other


def test_the_page_has_the_way_out() -> None:
    page = (ROOT / "docs/boxes.md").read_text()
    assert "{{ '{{' }}" in page
    assert "{{ '{{.Names}}' }}" in page
