"""The text of a plan: what is not its JSON is refused at the place where it goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krunc_compiler.plan.plan import Plan, to_text
from krunc_launcher.accept import accept
from krunc_launcher.errors import PlanRefused
from krunc_launcher.options import Options
from krunc_launcher.text.positions import position
from krunc_launcher.text.reading import parse
from places import ROOT

PLAN = (ROOT / "boxes" / "hello.plan.json").read_text("utf-8")
DEPTH = 16
DIGITS = 20

# The place is where the text holds the sign that is not in what is parsed.
FLAWS = {
    "": "this is not JSON: expected a value",
    " \n\u00a7": "this is not JSON: expected a value",
    "\u00a7\ufeff{}": "a byte order mark is before the plan",
    "{}\n \u00a7{}": "something is behind the plan",
    "[]\u00a7,": "something is behind the plan",
    '{"a": 1,\n\u00a7"a": 2}': 'duplicate key "a" in one object',
    '{"a": 1, \u00a7"\\u0061": 2}': 'duplicate key "a" in one object',
    '{"a": {"b": 1, \u00a7"b": 2}}': 'duplicate key "b" in one object',
    '{"a": \u00a7NaN}': "NaN is not an integer",
    "[\u00a7-Infinity]": "-Infinity is not an integer",
    '{"a":\n \u00a71.0}': "1.0 is not an integer",
    "[0, \u00a71e3]": "1e3 is not an integer",
    "[\u00a7" + "9" * 21 + "]": "a number has more than 20 digits",
    "[\u00a7-" + "9" * 20 + "]": "a number has more than 20 digits",
    "[\u00a701]": "a number does not start with 0",
    "[\u00a7nul]": 'found "nul"; expected a value',
    "[\u00a7+1]": 'found "+1"; expected a value',
    "[1,\u00a7]": "expected a value",
    "[1 \u00a72]": "expected a comma or the end of the list or object",
    "[1\u00a7": "expected a comma or the end of the list or object",
    '{"a" \u00a71}': "expected a colon behind a key",
    "{\u00a7a: 1}": "expected a key in double quotes",
    '{"a": 1,\u00a7}': "expected a key in double quotes",
    '["a", \u00a7"b]': "the string that starts here does not end",
    '["a\u00a7\nb"]': "write \\n as \\u000a",
    '["\u00a7\x1b[31m"]': "write \\033 as \\u001b",
    '["a\u00a7\\qb"]': "\\q means nothing in a string",
    '["\u00a7\\u12g4"]': "four hexadecimal digits are needed",
    "[" * DEPTH + "\u00a7[" + "]" * (DEPTH + 1): "the plan is nested too deeply",
    "[" * DEPTH + "\u00a7" + "[" * 200_000: "the plan is nested too deeply",
    '{"a":' * DEPTH + "\u00a7" + '{"a":' * 200_000: "the plan is nested too deeply",
    "{" + ", ".join(f'"k{i}": 1' for i in range(90_000)) + ', \u00a7"k89999": 1}': "duplicate key",
}


LONG = 2 * 20_000  # of so many characters a plan's values are counted


@pytest.mark.parametrize("depth", [DEPTH, DEPTH + 1, 100, 480, 984, 1500, 9_000, 50_000])
@pytest.mark.parametrize("length", [0, LONG - 1, LONG, LONG + 1, 3 * LONG])
@pytest.mark.parametrize("kind", ["list", "object", "both"])
def test_nothing_walks_down_into_what_is_nested_too_deep(
    kind: str, length: int, depth: int, tmp_path: Path
) -> None:
    """Whatever Python's own limit is, and however long the text is."""
    opens, closes = {"list": ("[", "]"), "object": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    levels = (depth - 2) // (2 if kind == "both" else 1)
    deep = opens * levels + "1" + closes * levels
    text = '["' + "x" * max(0, length - len(deep) - 5) + '",' + deep + "]"
    assert length < len(deep) or len(text) == length or not length
    is_deep = 2 + levels * (2 if kind == "both" else 1) > DEPTH
    if not is_deep:
        assert parse(text) == parse(text, may_be_deep=True) == json.loads(text)
    (tmp_path / "deep.plan.json").write_text(text)
    with pytest.raises(PlanRefused) as refused:
        accept(str(tmp_path / "deep.plan.json"), Options({}))
    (found, *_) = refused.value.findings
    assert ("the plan is nested too deeply" in found[1]) == is_deep


# Each depth in a process of its own: Python's limits are others once a function is warm.
AROUND_THE_SCANNERS_LIMIT = """
import json, os, sys
from krunc_launcher.errors import PlanRefused
from krunc_launcher.text.reading import parse

least, most = 1, 200_000
while most - least > 1:
    depth = (least + most) // 2
    try:
        json.loads("[" * depth + "]" * depth)
        least = depth
    except RecursionError:
        most = depth
for depth in range(least - 40, least + 10):
    deep = "[" * depth + "1" + "]" * depth
    text = '["' + "x" * (int(sys.argv[1]) - len(deep)) + '",' + deep + "]"
    pid = os.fork()
    if not pid:
        try:
            parse(text, may_be_deep=True)
        except PlanRefused as refused:
            os._exit("the plan is nested too deeply" not in str(refused))
        finally:
            os._exit(2)
    print(depth, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("length", [LONG, 2 * LONG])
def test_nor_where_the_scanner_just_reads_it(length: int) -> None:
    command = [sys.executable, "-c", AROUND_THE_SCANNERS_LIMIT, str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = done.stdout.splitlines()
    assert len(rows) == 50
    assert [row for row in rows if not row.endswith(" 0")] == []


@pytest.mark.parametrize("marked", FLAWS, ids=lambda marked: repr(marked[:16]))
def test_flaw(marked: str) -> None:
    before, _, _ = marked.partition("\u00a7")
    with pytest.raises(PlanRefused) as caught:
        parse(marked.replace("\u00a7", ""))
    ((path, sentence),) = caught.value.findings
    assert path == ()
    assert FLAWS[marked] in sentence
    assert caught.value.place == (before.count("\n") + 1, len(before) - before.rfind("\n"))


class Refused(Exception):
    """What json takes and a plan does not."""


def refuse(text: str) -> Any:
    raise Refused(text)


def whole(text: str) -> int:
    return refuse(text) if len(text) > DIGITS else int(text)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return refuse("twice") if len(dict(pairs)) < len(pairs) else dict(pairs)


def deep(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(deep, inner), default=0)


def by_json(text: str) -> Any:
    """TEXT as Python's json reads it, with the rules of a plan."""
    value = json.loads(
        text.removeprefix("\ufeff") + ("x" if text.startswith("\ufeff") else ""),
        parse_float=refuse,
        parse_int=whole,
        parse_constant=refuse,
        object_pairs_hook=once,
    )
    return refuse("deep") if deep(value) > DEPTH else value


TOKENS = (
    '{ } [ ] , : " \\ \\u 00e9 1 - 0 . e null tru NaN "a" "a": \u00e9 \ufeff \x00 9999999999 '
    "99999999999999999999 [[[[[[[[[[[[[[[[[[[["
)
pieces = st.sampled_from([*TOKENS.split(" "), " ", "\n"])


@settings(max_examples=400, deadline=None)
@given(st.lists(pieces, max_size=12), st.integers(0, len(PLAN)), st.integers(0, 40), st.booleans())
def test_agrees_with_json(parts: list[str], start: int, cut: int, alone: bool) -> None:
    text = "".join(parts) if alone else PLAN[:start] + "".join(parts) + PLAN[start + cut :]
    try:
        wanted = by_json(text)
    except (Refused, ValueError, RecursionError):
        with pytest.raises(PlanRefused) as caught:
            parse(text)
        place = caught.value.place
        assert place is not None
        lines = text.split("\n")
        assert 1 <= place[0] <= len(lines)
        assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1
        assert caught.value.findings[0][1] != "this is not the JSON of a plan"
    else:
        assert parse(text) == wanted


# Plans with secrets, disks, an overlay with a process, and the stage.
PLANS = sorted((ROOT / "boxes").glob("*.plan.json")) + sorted(
    (ROOT / "examples").rglob("*.plan.json")
)


def everywhere(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in VALUE: what holds it, and its key or index there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from everywhere(value[key])


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_that_is_too_deep_anywhere_is_refused_as_such(path: Path) -> None:
    """Only a plan that is refused is asked how deep it is: so none that is too deep may be verified."""
    plan = json.loads(path.read_text("utf-8"))
    options = Options({})
    accept(str(path), options)
    for holder, key in list(everywhere(plan)):
        before = holder[key]
        for opening, closing in ("[]", ('{"a":', "}")):
            holder[key] = json.loads(opening * DEPTH + "1" + closing * DEPTH)
            with pytest.raises(PlanRefused) as caught:
                accept(str(path), options, json.dumps(plan).encode())
            ((_, sentence),) = caught.value.findings
            assert "nested too deeply" in sentence, (key, before)
        holder[key] = before


def test_a_position_in_any_layout() -> None:
    text = '\n{"a": [1, {"b\\n":\n  "}]", "\\u0063": [[], {}, "x"]}]}'
    assert position(text, ()) == (2, 1)
    assert position(text, ("a", 1, "b\n")) == (3, 3)
    assert position(text, ("a", 1, "c", 2)) == (3, 28)
    assert position(text, ("a", 1, "missing", 2)) == (2, 11)
    assert position(text, ("a", 7)) == (2, 7)


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from('}{,": calstepimplicit\\\n'), max_size=30), max_size=4))
def test_an_operation_is_a_line_whatever_its_texts_are(texts: list[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"call": "krun_set_exec", "args": {"argv": [*texts, '}, {"call": "x"']}, "from": "default"},
        {"step": "x", "args": {"env": {'}, {"step": ': {"from_env": "A"}}}, "from": "a"},
        {"implicit": "y", "from": "default"},
    ]
    head: dict[str, Any] = {"libkrun": "1.0", "features": [], "because": []}
    plan = Plan("box", "1", "v1", head, "sha256:", tuple(rows))
    lines = to_text(plan).split("\n")
    start = lines.index('"operations": [') + 1
    assert [json.loads(line.rstrip(",")) for line in lines[start : start + 3]] == rows
    assert lines[start + 3 :] == ["]", "}", ""]
