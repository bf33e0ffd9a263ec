"""The compiler's half reads the JSON of a plan as the launcher's half does, and tells of what is
wrong the place, the key, what was found, and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from krunc_compiler.__main__ import main
from krunc_compiler.files.source import decode
from krunc_compiler.findings.finding import Finding, Rejected, Source, placed
from krunc_compiler.plan.json_text import places, value_of
from krunc_compiler.plan.reading import read_plan, source_of
from krunc_launcher.errors import PlanRefused
from krunc_launcher.text.positions import position
from krunc_launcher.text.reading import parse, text_of
from places import ROOT

PLAN = (ROOT / "boxes" / "hello.plan.json").read_text("utf-8")
DEPTH, DIGITS, VALUES = 16, 20, 20_000

# What is wrong at the sign, the key of it, and words of the message and of the way out.
WRONG: dict[str, tuple[str, tuple[str | int, ...], str, str]] = {
    "nothing": ("§", (), "expected a value, got the end of the plan", "cut off"),
    "a mark": ("§\ufeff{}", (), "a byte order mark is before the plan", "without it"),
    "more": ("{}\n §{}", (), '"{" is behind the plan', "remove"),
    "a NUL behind": ("{}\n§\0", (), '"\\u0000" is behind the plan', "remove"),
    "a key twice": ('{"a": 1,\n§"a": 2}', ("a",), "; the first is on line 1", "keep one"),
    "a key spelt": ('{"ab": 1,§"\\u0061b": 2}', ("ab",), 'duplicate key "ab"', "keep one"),
    "a key twice, deep": ('{"a":[{"b":1,§"b":1}]}', ("a", 0, "b"), "duplicate key \"b\"", "keep"),
    "NaN": ('{"a": [1, §NaN]}', ("a", 1), "NaN is not an integer", "write an integer"),
    "infinite": ('{"a": §-Infinity}', ("a",), "-Infinity is not an integer", "write an integer"),
    "a fraction": ('{"a": §1.0}', ("a",), "1.0 is not an integer", "write an integer"),
    "an exponent": ('{"a": §1e9}', ("a",), "1e9 is not an integer", "write an integer"),
    "a thousand digits": (f"[§{'7' * 9_000}]", (0,), "a number of 9,000 digits", "20 digits"),
    "a million digits": (f"[§-{'7' * 900_000}]", (0,), "of 900,001 digits", "at most 20 digits"),
    "a zero": ("[§01]", (0,), "01 starts with 0", "without zeros"),
    "a word": ("[1, §nul]", (1,), "expected a value, got nul", "by hand"),
    "a comma": ("[1,§]", (1,), 'expected a value, got "]"', "by hand"),
    "cut in a list": ("[1§", (), "expected a comma or ]", "cut off"),
    "cut in a string": ('{"a": §"b', ("a",), "that starts here does not end", "cut off"),
    "cut behind a key": ('{"a"§', ("a",), "expected a colon behind the key", "cut off"),
    "no key": ("{§a: 1}", (), 'expected a key in double quotes, got "a:"', "by hand"),
    "a line in a string": ('["a§\n"]', (0,), "U+000A is in a string", "\\u000a"),
    "an escape": ('["a§\\q"]', (0,), "\\q means nothing in a string", "write one of "),
    "an escape of three": ('["§\\u12g4"]', (0,), "\\u means nothing", "four hexadecimal"),
    "deep lists": ("[" * DEPTH + "§" + "[" * 300_000, (0,) * DEPTH, "too deeply", "16 levels"),
    "deep maps": ('{"a":' * DEPTH + "§" + '{"a":' * 99_999, ("a",) * DEPTH, "deeply", "16"),
    "values": ("[" + "0," * (VALUES - 1) + "§0]", (VALUES - 1,), "more than 20,000", "so many"),
    "keys": (
        "{" + ",".join(f'"k{i}":{"§" * (i == 9_999)}1' for i in range(VALUES)) + "}",
        ("k9999",), "more than 20,000 values", "so many",
    ),
}  # fmt: skip


def refused(source: Source) -> Finding:
    with pytest.raises(Rejected) as caught:
        value_of(source)
    ((_, finding),) = caught.value.findings
    return finding


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_at_its_place(name: str) -> None:
    marked, path, message, hint = WRONG[name]
    before, _, _ = marked.partition("§")
    finding = refused(Source("x.plan.json", marked.replace("§", ""), {}))
    assert finding.code == "KR401"
    assert finding.path == path
    assert message in finding.message
    assert hint in finding.hint
    assert "sys." not in finding.message
    assert "recursion" not in finding.message
    assert finding.span is not None
    where = (before.count("\n"), len(before) - (before.rfind("\n") + 1))
    assert (finding.span.line, finding.span.column) == where


@pytest.mark.parametrize("verb", ["show", "digest", "check", "diff"])
@pytest.mark.parametrize("name", ["a key spelt", "NaN", "a thousand digits", "deep lists", "a mark",
                                  "cut in a string"])  # fmt: skip
def test_each_command_tells_it(
    verb: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "x.plan.json"
    value = WRONG[name][0].replace("§", "")
    mark = "\ufeff" if name == "a mark" else ""
    value = '""' if mark else value
    text = mark + PLAN.replace("{\n", f'{{\n"labels": {value},\n', 1)
    plan.write_text(text, "utf-8")
    arguments = [verb, str(plan)] if verb != "diff" else [verb, "/dev/null", str(plan)]
    assert main(arguments) == (2 if verb == "diff" else 1)
    said = "".join(capsys.readouterr())
    line = 1 if mark else 2
    assert f"{plan}:{line}:" in said
    assert "error[KR401]" in said
    assert "labels" in said or mark


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('"hello"', '"hel\\ud800"', ("box",)),
        ('"krunc_plan"', '"\\udfff": 1, "krunc_plan"', ("\udfff",)),
        ('{"call"', '{"a\\ud800": 1, "call"', ("requires", "because", 0, "a\ud800")),
    ],
)
def test_half_a_character_has_a_place(old: str, new: str, path: tuple[str | int, ...]) -> None:
    text = PLAN.replace(old, new, 1)
    with pytest.raises(Rejected) as caught:
        read_plan("x", text)
    found = {item.finding.path: placed(item)[1] for item in caught.value.findings}
    (there,) = [span for at, span in found.items() if at == path or at[:2] == path[:2]]
    assert there is not None
    assert "\\ud" in text.split("\n")[there.line][there.column : there.end_column]


def compilers(data: bytes) -> tuple[Any, tuple[int, int] | None]:
    """What the compiler's half makes of DATA: a value, or where it is wrong, from 1."""
    try:
        return value_of(Source("x", decode("x", data), {})), None
    except Rejected as rejected:
        ((_, finding),) = rejected.findings
        assert finding.span is not None or finding.code == "KR001"
        span = finding.span
        return finding, (span.line + 1, span.column + 1) if span else (1, 1)


def launchers(data: bytes) -> tuple[Any, tuple[int, int] | None]:
    try:
        return parse(text_of(data)), None
    except PlanRefused as error:
        return error, error.place or (1, 1)


TOKENS = (
    '{ } [ ] , : " \\ \\u 00e9 d800 1 - 0 . e null tru NaN "a" "a": é \ufeff \x00 9999999999 '
    '99999999999999999999 [[[[[[[[[[[[[[[[[[[[ "b":{ \x7f \xa0 - -0 "operations": "box": \x85'
)
pieces = st.sampled_from([*(token.encode() for token in TOKENS.split(" ")), b" ", b"\n", b"\r\n",
                          b"\r", b"\t", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf"])  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, max_size=12), st.integers(0, len(PLAN)), st.integers(0, 40), st.booleans())
@example([b"0," * 25_000], 1, 0, False)
@example([b"[" * 200_000], 1, 0, True)
@example([b"9" * 9_999], 0, 0, True)
def test_both_halves_take_the_same_texts(
    parts: list[bytes], start: int, cut: int, alone: bool
) -> None:
    whole = PLAN.encode()
    data = b"".join(parts) if alone else whole[:start] + b"".join(parts) + whole[start + cut :]
    (ours, here), (theirs, there) = compilers(data), launchers(data)
    assert (here is None) == (there is None)
    if here is None:
        assert ours == theirs
        assert json.dumps(ours) == json.dumps(theirs)  # 1 is not true
    elif b"\r" not in data and "more than 20,000" not in ours.message:
        assert here == there


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
                    lambda inner: st.lists(inner, max_size=4)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=12),
       st.sampled_from([None, 1]))  # fmt: skip
def test_both_halves_know_where_values_stand(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = places(text)
    for path, place in found.items():
        assert position(text, path) == (place.value.line + 1, place.value.column + 1)
        inner = value
        for part in path:
            inner = inner[part]
        lines = text.split("\n")[place.value.line : place.value.end_line + 1]
        lines[-1] = lines[-1][: place.value.end_column]
        lines[0] = lines[0][place.value.column :]
        assert json.loads("\n".join(lines)) == inner


def test_a_plan_with_tabs_has_places() -> None:
    assert ("operations", 0) in source_of("x", PLAN.replace("\n", "\n\t")).places
