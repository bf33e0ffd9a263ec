"""No character that a reader does not see stands in what krunc writes for review."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hostile import leaves
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.__main__ import main
from krunc_compiler.findings.report import is_seen
from krunc_compiler.text.unseen import escaped

# All of Unicode but surrogates, and what json escapes itself.
UNSEEN = [
    c for c in map(chr, range(0x7F, 0x110000)) if unicodedata.category(c) != "Cs" and not is_seen(c)
]


@given(st.text())
def test_the_value_stays(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False)
    assert json.loads(escaped(written)) == text


def test_each_is_escaped() -> None:
    assert {unicodedata.category(c) for c in UNSEEN} >= {"Cc", "Cf", "Zl", "Zp", "Zs", "Mn"}
    for c in UNSEEN:
        written = escaped(json.dumps(c, ensure_ascii=False))
        assert written.isascii(), written
        assert "\x7f" not in written


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u200b", "\u3164", "\u05d0", "\u0301", "\U000e0041"]
)
def test_a_plan_has_none(character: str, tmp_path: Path) -> None:
    box = tmp_path / "web.yaml"
    text = f"/bin/sh {character} x"
    box.write_text(
        "krunc: 1\nname: web\nrootfs: {path: ./root}\nnetwork: {mode: none}\n"
        f"entrypoint: {{executable: /bin/sh, args: [{json.dumps(text, ensure_ascii=False)}]}}\n"
    )
    assert main(["compile", str(box), "--target", "2"]) == 0
    plan = (tmp_path / "web.plan.json").read_text()
    assert character not in plan
    assert text in leaves(json.loads(plan))
    assert main(["compile", str(box), "--target", "2", "--check"]) == 0
