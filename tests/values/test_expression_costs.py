"""What expressions cost: no filter, test or operator takes longer than its input's size allows, and
all of a file have one budget."""

from __future__ import annotations

import time

import pytest
from krunc_compiler.text.parsing import parse
from krunc_compiler.values import work
from krunc_compiler.values.filters import FILTERS, TESTS
from krunc_compiler.values.rendering import render

LONG = "a" * 9_999
VARIABLES = {
    "a": LONG,
    "n": 5,
    "l": ["x"] * 15_000,
    "m": {f"k{i}": LONG for i in range(50)},
    "f": 2.5,
}
# Arguments with which a filter does what it does; others are in NEVER below.
ARGUMENTS = {
    "join": "('')", "replace": "('b', 'c')", "round": "(2)", "truncate": "(9000)", "int": "(1)",
    "float": "(1)", "default": "('x')", "d": "('x')",
}  # fmt: skip
# Operators: what is repeated in one expression, and what joins it.
REPEATED = {
    "+": ("(a + a)", " ~ "),
    "~": ("(a ~ a)[:1]", " ~ "),
    "a long sum": ("a", " + "),
    "==": ("(a == a)", " and "),
    "<": ("(a <= a)", " and "),
    "in a string": ("('b' in a)", " or "),
    "in a list": ("('b' in l)", " or "),
    "not in a map": ("('b' not in m)", " and "),
    "lists are compared": ("(l == l)", " and "),
    "maps are compared": ("(m == m)", " and "),
    "a slice": ("l[::-1][:1]", " + "),
    "lists are joined": ("l", " + "),
    "lists of lists": ("[l, l]", " + "),
    "a list of all": ("l", ", "),
    "a number of a string": ("(('9' * 4000) | int(1))", " * "),
    "powers": ("(9 ** 64)", " * "),
}  # fmt: skip


@pytest.fixture(autouse=True)
def a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the budget, which is used up in a tenth of the time."""
    monkeypatch.setattr(work, "_MOST", work._MOST // 10)


def seconds(expression: str, count: int, first: int) -> float:
    """How long it takes to evaluate COUNT expressions that differ, also from those of another
    FIRST, so that nothing of them is kept from an earlier time."""
    assert len(expression) < 1_000
    box = {
        f"k{i}": f"{{{{ {i} if n == 6 else ({expression}) }}}}" for i in range(first, first + count)
    }
    start = time.process_time()
    render(box, VARIABLES, parse("x", "a: b")[1])
    return time.process_time() - start


def is_bounded(expression: str) -> bool:
    """Whether 60 such expressions are done within the budget: in one of several tries, for a
    processor that others use too does less in the same time."""
    return any(seconds(expression, 60, first) < 0.7 for first in range(0, 300, 60))


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("value", ["a", "l", "m", "f"])
def test_a_filter_is_bounded(name: str, value: str) -> None:
    one = f"({value} | {name}{ARGUMENTS.get(name, '')} | string)[:1]"
    repeated = " ~ ".join([one] * (900 // (len(one) + 3)))
    assert is_bounded(repeated)


@pytest.mark.parametrize("name", [name for name in TESTS if name.isalpha()])
def test_a_test_is_bounded(name: str) -> None:
    arguments = {"divisibleby": "(7)", "in": "(l)"}
    argument = arguments.get(name, "(a)" if name in ("eq", "ne", "lt", "le", "gt", "ge") else "")
    one = f"(a is {name}{argument})"
    assert is_bounded(" or ".join([one] * (900 // (len(one) + 4))))


@pytest.mark.parametrize("one", REPEATED)
def test_an_operator_is_bounded(one: str) -> None:
    part, between = REPEATED[one]
    whole = between.join([part] * (900 // (len(part) + len(between))))
    whole = f"[{whole}]" if between == ", " else whole
    assert is_bounded(whole)


# What would never end: what is said of it, and a part of the way out.
NEVER = {
    "n | round(-99999999)": ("round does not keep -99999999 digits", "up to 20"),
    "n | round(99999999)": ("round does not keep 99999999 digits", "up to 20"),
    "n | round(precision=-3000000)": ("round does not keep -3000000 digits", "up to 20"),
    "f | round(-400, 'floor')": ("round does not keep -400 digits", "up to 20"),
    "f | round(10 ** 64)": ("round does not keep 10000000000000000000 digits", "up to 20"),
    "n | round(2.5)": ("round does not keep 2.5 digits", "up to 20"),
    "'9' * 9000 | int(1)": ("", ""),
    "9 ** 9 ** 9": ("the number would be too large", ""),
    "(9 ** 64) * (9 ** 64) * (9 ** 64) * (9 ** 64) * (9 ** 64) * (9 ** 64)": ("the number would be too large", ""),
    "[1] * 999999999": ("a list cannot be multiplied", ""),
    "999999999 * (1, 2)": ("a list cannot be multiplied", ""),
    "'x' * 999999999": ("the result would be too long", ""),
    "a | replace('', a)": ("the result would be too long", ""),
    "m.values() | list": ("there is no filter 'list'", ""),
}  # fmt: skip


@pytest.mark.parametrize("expression", NEVER)
def test_an_argument_is_bounded(expression: str) -> None:
    start = time.process_time()
    found = render({"a": f"{{{{ {expression} ~ n }}}}"}, VARIABLES, parse("x", "a: b")[1]).findings
    assert time.process_time() - start < 0.5
    said, way_out = NEVER[expression]
    if said:
        assert said in found[0].message
        assert way_out in found[0].hint


def test_the_budget_is_told_once_and_for_all_of_a_file() -> None:
    box = {"args": [f"{{{{ ({i} ~ {'a|max~' * 100}'')[:1] }}}}" for i in range(100)]}
    result = render(box, VARIABLES, parse("x", "a: b")[1])
    (finding,) = result.findings
    assert finding.code == "KR020"
    assert "the expressions of this file take too long together" in finding.message
    assert len(result.broken) > 1


# Values that a filter, a test or an operator does not take: what is said.
MISUSED = {
    "n | round(1, 2, 3)": "round does not take a number with a number, a number, a number",
    "a | round": "round does not take a string",
    "n | int(1, 2)": "int does not take a number with a number, a number",
    "n | upper(1)": "upper does not take a number with a number",
    "n | max": "max does not take a number",
    "[n, 'x'] | max": "max does not take a list",
    "none | first": "first does not take null",
    "n | join(n)": "join does not take a number with a number",
    "n | length": "length does not take a number",
    "m | abs": "abs does not take a map",
    "n is divisibleby": "divisibleby does not take a number",
    "n is divisibleby('x')": "divisibleby does not take a number with a string",
    "n is in(n)": "in does not take a number with a number",
    "a > n": "> does not take a string and a number",
    "n < none": "< does not take a number and null",
    "a - n": "- does not take a string and a number",
    "[1] + 'x'": "+ does not take a list and a string",
    "-a": "",
    "n in n": "",
    "l['x']": "",
    "l[9 ** 60]": "",
    "n[0:1]": "",
    "2.5 ** 9999 * 9999": "",
    "('9' * 5000) | int": "is not an integer",
}  # fmt: skip
PYTHON = ("object", "<locals>", "positional", "argument", "instance", "str'", "int'", "NoneType", "do_", "set_int", "operand", "iterable", "'str")  # fmt: skip


@pytest.mark.parametrize("expression", MISUSED)
def test_what_is_misused_is_told_in_a_boxs_words(expression: str) -> None:
    found = render({"a": f"{{{{ [{expression}, n] }}}}"}, VARIABLES, parse("x", "a: b")[1]).findings
    if not found:
        assert not MISUSED[expression]
        return
    assert MISUSED[expression] in found[0].message
    assert not [word for word in PYTHON if word in found[0].message + found[0].hint]
