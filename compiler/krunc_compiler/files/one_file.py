"""Which names are those of one file on some file system, or are read as one."""

from __future__ import annotations

import os
import unicodedata
from functools import cache

# Letters of other scripts that look like letters or digits of ASCII, each with these: some of those
# that Unicode's UTS 39 has. Reviews escape what could pass for others by the same table.
LIKE_LATIN = (
    # Cyrillic
    "аa еe оo рp сc уy хx іi јj ѕs һh ԁd ԛq ԝw ӏl үy ѵv гr пn кk ьb б6 АA ВB ЕE З3 КK МM НH ОO РP "
    "СC ТT УY ХX ЅS ІI ЈJ ҮY ԌG ԚQ ԜW ѴV Б6 ЬB ӀI ӕæ ӔÆ Ӡ3 ꙄS ҽe ꙇi ґr ѡw ꚙoo ꚘOO ЫBI Ю10 "
    # Greek
    "αa οo ρp νv ιi κk υu γy σo ϲc ωw εe τt ηn ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ϹC ϜF ϳj "
    "ͿJ ϺM ᴦr "
    # Armenian
    "օo ոn սu հh ցg զq յj քp ԼL ՍU ՏS ՕO ռn գq աw "
    # others
    "ഠo ଠo ဝo ဠo ዐo ሀu ፐt ॽ? ჿo ყy"
)
# Letters of Latin that look like others.
_LATIN_ALIKE = "ıi ɑa ɡg ɩi ʟl ᴏo ꞁl"
# Of no width, beside format characters: fillers, selectors of variants, tags (Unicode's
# Default_Ignorable_Code_Point), and a blank of Braille.
_OF_NO_WIDTH = (
    (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2060, 0x206F),
    (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)  # fmt: skip


def one_file(path: str) -> str:
    """Return what PATH has in common with all names that a file system may take for the same one,
    or a reader: macOS's and Windows' do not tell upper from lower case, nor how an accent is
    written. A repository is cloned on any."""
    path = os.path.normpath(path)
    return path.lower() if path.isascii() and path.isprintable() else alike(path)


def alike(name: str) -> str:
    """Return what NAME has in common with all names that are read as it."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", name) if not _is_unseen(c))
    like = seen.casefold().translate(_like_latin())
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", like).casefold())


def difference(one: str, other: str) -> str:
    """Tell where two names are one, of which OTHER was told; nothing where they are the same."""
    if one == other:
        return ""
    if one.casefold() == other.casefold():
        return " where upper and lower case are one"
    if (
        unicodedata.normalize("NFC", one).casefold()
        == unicodedata.normalize("NFC", other).casefold()
    ):
        return " where accents can be written in two ways"
    return " for a reader, who does not see what they differ in"


@cache
def _like_latin() -> dict[int, str]:
    """Return what looks like each letter, or like its other case, in lower case."""
    pairs = f"{_LATIN_ALIKE} {LIKE_LATIN}".split()
    return {ord(pair[0].casefold()): pair[1:].casefold() for pair in reversed(pairs)}


def _is_unseen(c: str) -> bool:
    code = ord(c)
    return unicodedata.category(c) in ("Cc", "Cf") or any(
        first <= code <= last for first, last in _OF_NO_WIDTH
    )
