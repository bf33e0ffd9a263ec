"""What a review shows cannot pass for something else; words of other scripts stay readable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.review.change_sheet import change_sheet
from krunc_compiler.review.difference import compare
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.text import to_text
from krunc_compiler.review.words import bare, visible
from reviews import BOX, reviewed_box

# What they are read as.
SIGNS = {
    "/": "\u2215\u2044\u29f8\uff0f\u2571\u30ce\u4e3f\u3033\u31d3",
    ".": "\uff0e\u3002\u00b7\u2024\u2022\u0660\ua78f".replace("\u3002", ""),
    ":": "\uff1a\u2236\u02d0\ua789\u0589\u05c3\u205a",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u4e00\u30fc\u2500\u02d7\u2796",
    "_": "\uff3f\u203f\u2040\ufe4d\u02cd",
    '"': "\u201c\u201d\u201e\u2033\u02ba\u02ee\uff02\u3003\u05f4",
    "'": "\u2018\u2019\u201b\u2032\u02b9\u02bc\u00b4\u0374",
    "|": "\u01c0\u2223\u2502\u4e28\u2758\uff5c\u3163",
    "@*=~": "\uff20\u2217\u2261\u223c\ua78a\uff1d",
    "digits": "\u0661\u06f1\u0967\uff11\u00b9\u2081\u2460\u3007\U0001d7cf\u0b66\u17e1",
    "letters": "\uff41\U0001d41a\u2170\u2113\u212a\ufb01\u0131\u0251\u0261\u1d00\u13a0\ua4d0\U00010400",
}
MIXED = ["\u0455ite", "p\u0430yp\u0430l", "r\u043eot", "\u0420ost", "\u03bfpen", "d\u0561ta", "c\u04cfient",
         "\u0430\u03b1", "\u0434\u0430\u043d\u043da", "\u10d3ata", "\u0e01a", "a\u30ceb", "a\u4e00b", "x\u30fcy"]  # fmt: skip
WHOLE = ["\u0441\u043e\u0440", "\u0430", "\u0430\u0440\u0440\u04cf\u0435", "\u041e2", "\u0391", "\u03bf", "\u0585\u057d",
         "\u4e00", "\u30ce", "\u30fc\u30fc", "\u4e28", "\u0d20", "\u0417"]  # fmt: skip
READABLE = [
    "größe", "señor", "Žluťoučký", "Łódź", "đường", "naïve", "Ærø", "œuvre", "Þór", "schön_2",
    "данные", "Журнал", "сайт-1", "проект.txt", "данные/журнал", "δεδομένα".replace("έ", "ε"), "Αρχείο",
    "տվյալներ", "データ", "サーバー", "ひらがな", "数据", "数据二", "东京一号", "人々", "web服务器", "データbase2",
    "데이터", "데이터A", "mønster", "ข", "მონაცემები", "¿qué", "€5", "© 2026", "😀", "a/größe/данные", "东京、大阪。",
]  # fmt: skip


@pytest.mark.parametrize("name", SIGNS)
def test_signs_and_digits_of_others_are_escaped(name: str) -> None:
    for c in SIGNS[name]:
        for text in (c, c * 3, f"a{c}b", f"./{c}etc", f"1{c}2", f"/a{c}../b", f"данные{c}я"):
            # Beside letters of their script these are letters.
            if c not in "\u30ce\u4e00\u4e3f\u4e28" or "я" not in text:
                assert visible(text).isascii() or "д" in text, (c, text)
            assert c not in visible(text)


@pytest.mark.parametrize("text", [*MIXED, *WHOLE])
def test_words_that_could_be_others_are_escaped(text: str) -> None:
    for whole in (text, f"./{text}", f"{text}.txt", f"a_{text}", f"x-{text}:1", f"данные {text}"):
        start = whole.index(text)
        shown = visible(whole)
        assert "".join(f"\\u{ord(c):04x}" if not c.isascii() else c for c in text) in shown
        assert shown.startswith(visible(whole[:start]))


@pytest.mark.parametrize("text", READABLE)
def test_other_scripts_are_readable(text: str) -> None:
    assert visible(text) == text


def test_a_review_shows_them_wherever_a_value_stands() -> None:
    """Paths, variables, names of devices: there is one way to a sentence."""
    box = {
        **BOX,
        "rootfs": {"path": "./\u0455ite"},
        "shares": [{"tag": "s", "path": "./a\u2215etc"}],
        "disks": [{"id": "d", "path": "./a\uff0fetc.img", "format": "raw"}],
        "vsock": [{"port": 5, "socket": "/run/a\u02bab.sock", "listen": True}],
        "labels": {"owner": "r\u043eot"},
    }
    old, new = reviewed_box(BOX), reviewed_box(box)
    for sheet in (plan_sheet(new), change_sheet(compare(old, new))):
        text = to_text(sheet, 400)
        for escaped in ("\\u0455ite", "a\\u2215etc", "a\\uff0fetc", "a\\u02bab", "r\\u043eot"):
            assert escaped in text
        assert text.isascii()


@given(
    st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), min_size=1, max_size=4)
)
def test_nothing_is_a_form_of_ascii(text: str) -> None:
    shown = visible(f"a{text}b")
    for c in shown:
        assert c.isascii() or unicodedata.normalize("NFKC", c) == c
        assert c.isascii() or unicodedata.decimal(c, None) is None
    if shown == f"a{text}b":
        assert bare(text) == f'"{text}"' or visible(text) != text
