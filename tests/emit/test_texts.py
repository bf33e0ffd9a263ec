"""No text breaks out of the files of engines: each form is read back by the engine's own parser."""

from __future__ import annotations

import re
import subprocess

import hcl2
import pytest
from engine_texts import CUNESCAPE, UNQUOTE, expanded, needs_systemd, unescaped, words
from hypothesis import example, given, settings
from hypothesis import strategies as st
from krunc_compiler.emit.texts import (
    LABEL,
    Names,
    Unspeakable,
    comment,
    hcl_string,
    label,
    shell_word,
    systemd_path,
    systemd_word,
)

# What means something to any of the formats, thicker than chance would have it.
_SIGNS = "\"'\\%${}#;=[]:- \t\n\r\x85\u2028`!&|<>*?~()a0/é\u202e\U0001f600\x7f\x01"
TEXTS = st.one_of(
    st.text(st.sampled_from(_SIGNS), max_size=30),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
)


@needs_systemd
@given(TEXTS)
@example("a\n[Service]\nExecStartPre=/bin/evil")
@example("end\\")
@example("%n")
def test_a_word_of_systemd_is_read_back(text: str) -> None:
    line = systemd_word(text)
    assert not re.search("[\n\r\0]", line)
    assert [expanded(word) for word in words(f"{line} next", CUNESCAPE | UNQUOTE)] == [
        text,
        "next",
    ]


@needs_systemd
@given(TEXTS)
@example("/srv/a b:c")
@example("/srv/a\\")
def test_a_path_of_systemd_is_read_back_or_refused(text: str) -> None:
    try:
        line = systemd_path(text)
    except Unspeakable:
        assert re.search("[\x00-\x1f\x7f\x85]", text)
        return
    assert not re.search("[\n\r\0]", line)
    assert [expanded(word) for word in words(f"-{line} next", UNQUOTE)] == [f"-{text}", "next"]


@given(st.lists(TEXTS, max_size=20))
@settings(max_examples=60)
@example(["a\nb", "'", "$(id)", "`id`", "", "\\", "!"])
def test_words_of_a_shell_are_read_back(texts: list[str]) -> None:
    script = "printf '%s\\0' x " + " ".join(map(shell_word, texts))
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == ["x", *texts]


@given(TEXTS)
@settings(max_examples=150)
@example("${NOMAD_SECRETS_DIR}")
@example("%{ if true }a%{ endif }")
@example("$${a}")
@example('"}\njob "b" {')
def test_a_string_of_hcl_is_read_back(text: str) -> None:
    line = hcl_string(text)
    assert line.isprintable()
    assert "${" not in line
    assert "%{" not in line
    value = hcl2.loads(f"a = {line}\nb = 1\n")
    assert value["b"] == 1
    assert unescaped(value["a"]) == text


@given(TEXTS)
@example("end\\")
def test_a_comment_is_one_line(text: str) -> None:
    line = comment(text)
    assert line.startswith("#")
    assert line.isprintable()
    assert not line.endswith("\\")


@pytest.mark.parametrize("form", [systemd_word, systemd_path, shell_word, hcl_string])
@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_format_can_hold(form: object, text: str) -> None:
    assert callable(form)
    with pytest.raises(Unspeakable):
        form(text)


BOX_NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,62}", fullmatch=True)


@given(st.lists(BOX_NAMES, unique=True, max_size=8), st.integers(20, LABEL))
@example(["a.b", "a-b", "a_b", "a-"], LABEL)
@example([f"{'a' * 62}{end}" for end in "abc"], 40)
def test_labels_are_labels_and_stay_apart(names: list[str], room: int) -> None:
    labels = [label(name, room) for name in names]
    assert all(re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", one) for one in labels)
    assert all(len(one) <= room for one in labels)
    assert len(set(labels)) == len(names)


def test_a_name_is_given_once() -> None:
    names = Names()
    assert names.taken("a-b", "a.b", "1.json") is None
    assert names.taken("a-c", "a.c", "2.json") is None
    assert names.taken("a-b", "a-b", "3.json") == ("a.b", "1.json")
