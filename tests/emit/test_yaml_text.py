"""What krunc emit writes as YAML is read by a real parser as what it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from krunc_compiler.emit.yaml_text import to_yaml

READERS: list[Any] = [
    yaml.SafeLoader,
    *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else []),
]
SIGNS = "-:?#&*!|>'\"%@`{}[],~ \t\n\r\x00\x07\x1b\x7f\x85\xa0\u2028\u2029\ufeff\ufffe\\/$()=.+0123eE_yYnNoO"
TEXTS = st.text(
    st.one_of(st.sampled_from(SIGNS), st.characters(exclude_categories=["Cs"])), max_size=24
)
LINES = st.lists(TEXTS | st.sampled_from(["", " ", "---", "...", "a: b", "  c"]), max_size=5).map(
    "\n".join
)
STRINGS = TEXTS | LINES | LINES.map("{}\n".format)
VALUES = st.recursive(
    STRINGS | st.booleans() | st.none() | st.integers(-(10**20), 10**20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
# What some YAML takes for no string, or what is no string where it stands.
WORDS = [
    "y", "N", "yes", "No", "ON", "off", "true", "False", "TRUE", "null", "Null", "~", "", " ", "-",
    "--", "---", "--- a", "...", "- a", "-a", "--a", "? a", ": a", "a:", "a: b", "a:b", "a::", "a #b",
    "#a", "0", "07", "0o7", "0x1F", "1_0", "1.5", ".5", "1e3", "12e03", "1:20", "2001-01-01", ".inf",
    "-.INF", ".nan", "=", "<<", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "{", "[a", "a,b", "'", '"',
    "\\", "a\\", "a ", " a", "a\t", "\ta", "a\nb", "a\n", "\n", "\na\n", " a\nb\n", "a\n\n", "a\n \nb\n", "a\n\tb\n",
    "a \n", "a\r\nb\n", "a\x85b\n", "a\u2028b\n", "\ufeffa\n", "\x00\n", "e\u0301\n", "\U0001f600", "\ufffe",
    "0.digest", "0.plan.json", "4192Mi", "1Mi", "$(A)", "/a:b", "/a: b", "a" * 3000, "a " * 3000, "\xa0",
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", WORDS)
def test_a_string_stays_one(reader: Any, text: str) -> None:
    key = text[:300]
    for value in ({"a": text}, {key: "a"}, {"a": [text, text]}, {"a": [{key: text, "b": text}]},
                  {"a": [[text], [[text]]], "b": {"c": {"d": text}}}):  # fmt: skip
        written = to_yaml(value)
        assert yaml.load(written, reader) == value
        assert list(yaml.load_all(f"# x\n---\n{written}---\n{written}", reader)) == [value, value]


@given(st.dictionaries(STRINGS, VALUES, min_size=1, max_size=5))
@settings(max_examples=400, deadline=None)
@example({"a": {}, "b": [], "c": [{}], "d": [[]], "": None})
@example({"a": {"b": "c\nd\n"}, "e": ["f\ng\n", {"h": "i\nj\n", "k": 1}]})
def test_any_value_is_read_as_itself(value: dict[str, Any]) -> None:
    for reader in READERS:
        assert yaml.load(to_yaml(value), reader) == value


def test_it_reads_as_a_person_writes_it() -> None:
    value = {
        "kind": "Pod",
        "args": ["--base", "/srv/$(A)", "4", "a b", "yes"],
        "data": {"0.plan.json": '{\n"a": 1\n}\n', "0.digest": "sha256:00\n"},
        "items": [{"cpu": "4", "number": 4, "is": True}, {"empty": {}}],
    }
    assert to_yaml(value) == (
        'kind: Pod\nargs:\n- --base\n- /srv/$(A)\n- "4"\n- "a b"\n- "yes"\ndata:\n'
        '  0.plan.json: |\n    {\n    "a": 1\n    }\n  0.digest: |\n    sha256:00\n'
        'items:\n- cpu: "4"\n  number: 4\n  is: true\n- empty: {}\n'
    )
