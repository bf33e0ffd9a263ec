"""YAML as a box reads it: the core schema of YAML 1.2, and nothing that can hurt."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.findings.finding import Rejected, Span
from krunc_compiler.text import scalars
from krunc_compiler.text.parsing import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("0", 0),
        ("-0", 0),
        ("0.5", 0.5),
        ("00.5", 0.5),
        ("0-1", "0-1"),
        ("'007'", "007"),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("8080:80", "8080:80"),
        ("190:20:30", "190:20:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("1.", 1.0),
        ("-", [None]),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    found, _ = parse("x", f"k: {text}\n" if text != "-" else "k:\n-\n")
    assert found == {"k": value}
    assert type(found["k"]) is type(value)


FORMS = (r"[-+]?[0-9]{1,40}", scalars._OCT, scalars._HEX, scalars._FLOAT, scalars._NOT_FINITE)


@given(st.one_of([st.from_regex(form, fullmatch=True) for form in FORMS]))
def test_what_numbers_are_made_of(text: str) -> None:
    """A text with another character is taken for none without a look at their forms."""
    assert scalars._CHARACTERS.issuperset(text)


def test_anchors_repeat_a_value() -> None:
    assert parse("x", "a: &a {b: [1]}\nc: *a\n")[0] == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_places() -> None:
    _, source = parse("x", "a:\n  - b: one\n    c: [1, 22]\n")
    assert source.places["a", 0, "b"].value == Span(1, 7, 1, 10)
    assert source.places["a", 0, "c"].key == Span(2, 4, 2, 5)
    assert source.places["a", 0, "c", 1].value == Span(2, 11, 2, 13)


def test_line_ends_and_byte_order_mark() -> None:
    from krunc_compiler.files.source import decode

    assert parse("x", decode("x", b"\xef\xbb\xbfa: 1\r\nb: 2\r\n"))[0] == {"a": 1, "b": 2}


HOSTILE = {
    "flow nesting": "[" * 100_000,
    "block nesting": "".join(" " * i + "-\n" for i in range(1_200)),
    "map nesting": "{a: " * 100_000,
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"b{i}: &b{i} [{','.join(['*a' if not i else f'*b{i - 1}'] * 10)}]\n" for i in range(9)
    ),
    "many keys": "".join(f"k{i}: v\n" for i in range(60_000)),
    "long number": "a: " + "9" * 900_000,
    "long float": "a: 1" + "0" * 500_000 + ".5",
    "anchors": "".join(f"- &a{i} x\n" for i in range(50_000)),
}


def limited() -> None:
    """In a process that is to take little memory, and 20 seconds of a processor at most."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name: str) -> None:
    program = (
        "import sys\n"
        "from krunc_compiler.text.parsing import parse\n"
        "from krunc_compiler.findings.finding import Rejected\n"
        "try:\n    parse('x', sys.stdin.read())\n"
        "except Rejected:\n    sys.exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=HOSTILE[name],
        text=True,
        capture_output=True,
        preexec_fn=limited,
    )
    assert done.returncode in (0, 1), done
    assert "Traceback" not in done.stderr


def test_nesting_stops_at_the_first_level_too_many() -> None:
    before = time.process_time()
    with pytest.raises(Rejected) as caught:
        parse("x", "[" * 1_000_000)
    # Newer libyamls stop at 1,000 levels by themselves, before the first event.
    assert caught.value.findings[0].finding.span in (Span(0, 33, 0, 34), Span(0, 1000, 0, 1001))
    # A count would be better; libyaml gives none. The whole text would take minutes.
    assert time.process_time() - before < 10


HALF, NONE = "stands for half of a character", "stands for no character"


@pytest.mark.parametrize(
    ("text", "line", "column", "escape", "said"),
    [
        (r'{"name": "a\ud800b"}', 0, 11, r"\ud800", HALF),
        (r'{"name": "\ud800\ud800"}', 0, 10, r"\ud800", HALF),
        (r'{"name": "\uDFFF"}', 0, 10, r"\uDFFF", HALF),
        (r'{"a\ud83d": 1}', 0, 3, r"\ud83d", HALF),
        ('a: 1\nb: "\u00e9\u2028\n  c\\ud800"\n', 3, 3, r"\ud800", HALF),
        ('a: "\x85 b\\uD800"', 1, 2, r"\uD800", HALF),
        (r'a: "\U0000d800"', 0, 4, r"\U0000d800", HALF),
        (r'a: "\U00110000"', 0, 4, r"\U00110000", NONE),
        (r'a: "\Uffffffff"', 0, 4, r"\Uffffffff", NONE),
    ],
)
def test_an_escape_of_no_character(
    text: str, line: int, column: int, escape: str, said: str
) -> None:
    with pytest.raises(Rejected) as caught:
        parse("x", text)
    ((_, finding),) = caught.value.findings
    assert finding.message == f"the escape {escape} {said}"
    assert finding.span == (line, column, line, column + len(escape))
    assert ("both" in finding.hint) == (said == HALF)


def test_a_pair_of_escapes_as_json_writes_it() -> None:
    """YAML does not join them."""
    with pytest.raises(Rejected) as refusal:
        parse("box.yaml", r'a: "\uD83D\uDE00"')
    (located,) = refusal.value.findings
    assert r"write the one escape that YAML has for it, \U0001f600" in located.finding.hint
