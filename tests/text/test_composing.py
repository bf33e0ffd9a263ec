"""Quickly composed YAML is what the events say, value for value and place for place."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.text import fast_parsing as composing
from krunc_compiler.text.fast_parsing import composed
from krunc_compiler.text.parsing import parse, parse_by_events
from mistyped_texts import TEXTS
from places import ROOT

FILES = sorted(path for directory in ("boxes", "examples", "tests/bad") for path in (ROOT / directory).rglob("*.y*ml"))  # fmt: skip


def agree(text: str) -> bool:
    """Whether TEXT is composed; then it is what the events say."""
    quick = composed(text)
    if quick is None:
        return False
    value, source = parse_by_events("x", text)
    assert repr(quick[0]) == repr(value)
    assert quick[1] == source.places
    return True


def test_every_box() -> None:
    assert all(agree(path.read_text()) for path in (ROOT / "boxes").glob("*.yaml"))
    taken = [agree(path.read_text("utf-8", "replace")) for path in FILES]
    assert sum(taken) > 100


@pytest.mark.parametrize("text", [text for text, _ in TEXTS.values()], ids=list(TEXTS))
def test_mistyped(text: str | bytes) -> None:
    agree(text if isinstance(text, str) else text[:100_000].decode("utf-8", "replace"))


# What makes YAML of letters, so that many texts are right and some are nearly.
PIECES = st.sampled_from(
    ["a", "b: ", "- ", "? ", ": ", "\n", "\n  ", "\n    ", " ", "{", "}", "[", "]", ", ", "'", '"', "|\n  ", ">-\n   ",
     "#c", "1", "-0x1F", "0o17", "1e3", ".inf", "~", "null", "true", "no", "1:30", "é", "\u2028", "\t", "\\", "---\n",
     "...\n", "%YAML 1.2\n", "&a ", "*a", "!x ", "<<: ", "\ufeff", "\r\n", "\x85"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("a: 1\n? b\n: [2, {c: }]\n")
@example("{? a: b}")
@example("[a: b, c]")
@example('"a": {"1": 2, 1: 2}')
def test_any_text(text: str) -> None:
    agree(text)


def test_what_it_leaves_alone() -> None:
    """Whatever has a finding, and what could make libyaml's recursion dear."""
    for text in ("", "a: [", "a: 1\na: 2", "1: 2", "a: .nan", "a: 1\n--- b", "[" * 40 + "]" * 40):
        assert composed(text) is None, text
        with pytest.raises(Rejected):
            parse("x", text)
    assert composed("a: &x 1\nb: *x") is None
    assert composed("a: " + "b" * 9_000) is None


def test_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "_Loader", None)
    assert composed("a: 1") is None
