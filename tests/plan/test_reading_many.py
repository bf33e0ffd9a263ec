"""A plan of many, which is read by its lines, is read as one alone is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.many import Rows
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.plan.plan import value_of
from krunc_compiler.plan.reading import read_plan
from places import ROOT

PLANS = sorted(ROOT.glob("boxes/*.plan.json"))
TEXTS = [path.read_text() for path in PLANS]
# What stands in a plan, and what a line could be broken by.
PIECES = ['"', "\\", "{", "}", "[", "]", ",", "\n", ",\n", ":", " ", "0", "1.5", "true", "null"]
PIECES += ['"operations": [\n', "\n]\n}\n", '"from"', '"x": 1', "\ufeff", "\u2028", "\x00", "NaN"]


def outcome(read: object, text: str) -> object:
    """The plan in TEXT, or what is said of it."""
    try:
        return read("a.plan.json", text)  # type: ignore[operator]
    except Rejected as rejected:
        return [(one.source, one.finding) for one in rejected.findings]


def damaged(text: str, dice: random.Random) -> str:
    """TEXT with something put in, taken out, or twice."""
    lines = text.split("\n")
    place = dice.randrange(len(text))
    match dice.randrange(5):
        case 0:
            return text[:place] + dice.choice(PIECES) + text[place:]
        case 1:
            return text[:place] + text[place + dice.randrange(1, 30) :]
        case 2:
            line = dice.randrange(len(lines))
            return "\n".join([*lines[:line], *lines[line + 1 :]])
        case 3:
            line = dice.randrange(len(lines))
            return "\n".join([*lines[:line], lines[line], *lines[line:]])
        case _:
            one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            return "\n".join(lines)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_plans_as_krunc_writes_them_are_read_by_their_lines(path: Path) -> None:
    text = path.read_text()
    rows = Rows()
    for _ in range(2):
        plan = rows.read(path.name, text)
        assert plan == read_plan(path.name, text)
        assert all(isinstance(row, Ordered) for row in plan.operations)
        # Also as the object that other plans have.
        assert digest(value_of(plan)) == digest(json.loads(text))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_wrong_is_told_alike(seed: int) -> None:
    dice = random.Random(seed)
    rows = Rows()
    for text in TEXTS:
        rows.read("a.plan.json", text)
    for _ in range(60):
        text = damaged(dice.choice(TEXTS), dice)
        if dice.random() < 0.3:
            text = damaged(text, dice)
        assert outcome(rows.read, text) == outcome(read_plan, text)


@pytest.mark.parametrize(
    "head",
    [
        '{"x": {',
        '{"x": [',
        '{\n"krunc_plan": 1,\n"a\\',
        '{\n"operations": [],\n"x": {"y": 1,\n',
        '{\n"operations": [],\n',
        '{\n"x": "',
    ],
)
def test_a_head_that_is_none_alone_is_none(head: str) -> None:
    text = f'{head}"operations": [\n{{"call": "krun_create_ctx", "from": "default"}}\n]\n}}\n'
    assert outcome(Rows().read, text) == outcome(read_plan, text)


def test_true_is_no_1_though_python_says_so() -> None:
    text = next(one for one in TEXTS if '"listen": true' in one or '"read_only": true' in one)
    rows = Rows()
    rows.read("a.plan.json", text)
    other = text.replace('"listen": true', '"listen": 1').replace('_only": true', '_only": 1')
    assert other != text
    assert outcome(rows.read, other) == outcome(read_plan, other)
    assert isinstance(outcome(rows.read, other), list)


def test_many_lines_are_not_kept() -> None:
    rows = Rows()
    text = TEXTS[0]
    for number in range(5000):
        rows.read("a.plan.json", text.replace('"from": "default"', f'"from": "k{number}"', 1))
    assert len(rows._known) <= 4096
