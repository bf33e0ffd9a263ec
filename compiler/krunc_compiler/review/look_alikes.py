"""Characters beyond ASCII that could pass for others, above all for those of paths and names.

Words of other scripts stay readable. The rule is drawn after Unicode's UTS 39, which has tables of
what looks alike; here stand what a letter is by its name, and the letters of a script that look
like Latin ones. docs/review.md tells the rule.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from krunc_compiler.files.one_file import LIKE_LATIN

_WORD = re.compile(r"[^\W_]+")
# Scripts that are in everyday use (UAX 31, table 5); of others few readers know the letters.
_SCRIPTS = {
    "ARMENIAN", "BENGALI", "BOPOMOFO", "CJK", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN",
    "GREEK", "GUJARATI", "GURMUKHI", "HANGUL", "HIRAGANA", "KANNADA", "KATAKANA", "KHMER", "LAO",
    "LATIN", "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAI", "TIBETAN",
}  # fmt: skip
# Written in one word, as UTS 39 has it for "highly restrictive" identifiers.
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)
# Letters of Latin that are no ASCII letter with marks, and still not taken for one.
_LATIN = frozenset("ßẞÆæŒœØøĐđÐðÞþŁłŊŋƏəĦħŦŧ")
# Signs that are no letters and like nothing in ASCII.
_SIGNS = frozenset("¡¿§、。€£¥©®")
_LIKE_LATIN = frozenset(pair[0] for pair in LIKE_LATIN.split())
_PICTURES = (range(0x1F300, 0x1F700), range(0x1F900, 0x1FB00))
# Letters of scripts that are written with Latin in one word, and that look like signs of ASCII.
_LIKE_SIGNS = "一丨丶丿亅ノヽヾゝ〆〇ーㄧ口ロ工エ二ニ八ハ"


def doubtful(text: str) -> set[int]:
    """Return the indexes of the characters of TEXT that could pass for others."""
    found = {i for i, c in enumerate(text) if not c.isascii() and not _is_plain(c)}
    for word in _WORD.finditer(text):
        if not word[0].isascii():
            found.update(word.start() + i for i in _of_word(word[0]))
    return found


def _of_word(word: str) -> list[int]:
    """Return the indexes of what is beyond ASCII in WORD, where it could pass for another word."""
    beyond = [i for i, c in enumerate(word) if not c.isascii()]
    scripts = {_script(c) for c in word if not (c.isascii() and c.isdigit())}
    mixed = len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)
    if mixed or (all(c.isascii() or c in _LIKE_LATIN for c in word) and scripts != {"LATIN"}):
        return beyond
    # Without a letter beside them that is none, they are read as signs.
    signs = re.finditer(f"[{_LIKE_SIGNS}]+", word)
    return [i for run in signs if not _is_joined(word, run) for i in range(*run.span())]


def _is_joined(word: str, run: re.Match[str]) -> bool:
    """Tell whether RUN in WORD has a letter beyond ASCII beside it."""
    beside = word[max(0, run.start() - 1) : run.start()] + word[run.end() : run.end() + 1]
    return not beside.isascii()


@lru_cache(4096)
def _script(c: str) -> str:
    """Return the script of the letter C as its name tells it."""
    if c == "々":
        return "CJK"
    return "LATIN" if c.isascii() else re.split("[ -]", unicodedata.name(c, ""))[0]


@lru_cache(4096)
def _is_plain(c: str) -> bool:
    """Tell whether C, beyond ASCII, is a letter of a script in everyday use or a sign like no
    other."""
    if unicodedata.normalize("NFKC", c) != c:
        return False  # a form of another character
    if c in _SIGNS or any(ord(c) in one for one in _PICTURES):
        return True
    kind = unicodedata.category(c)
    if kind == "Lm":
        return c in "ー々"
    script = _script(c)
    if kind not in ("Lu", "Ll", "Lt", "Lo") or script not in _SCRIPTS:
        return False
    if script == "LATIN":
        return c in _LATIN or unicodedata.normalize("NFD", c)[0].isascii()
    return script != "HANGUL" or "\uac00" <= c <= "\ud7a3"
