"""Texts of a plan as a reader may see them: nothing in them can fake or hide anything.

A plan is a stranger's text. A value of it stands in a sentence as one word: bare when it is plain,
else in double quotes with everything escaped that is not seen, that changes the reading order, or
that joins the character before it.

Within a sentence two control characters stand around each value: no value has one of its own, for
those are escaped, so whoever shows the sentence knows krunc's words from the plan's (`pieces`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.findings.report import is_seen
from krunc_compiler.review.look_alikes import doubtful

# None ends in a colon: that is how a word of krunc's own ends that says what follows.
_PLAIN = re.compile(r"[A-Za-z0-9._/:=+@%~\[\]-]*[A-Za-z0-9._/=+@%~\[\]-]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
# What stands in a sentence; a longer text is there with its ends, and whole in its operation.
MOST, _HEAD, _TAIL = 240, 140, 60
# So many strings of a list stand in a sentence.
_LISTED = 40
# What is shown around the changed part of such a text.
_NEAR = 20
# What stands around a value of a sentence.
_START, _END = "\x02", "\x03"
_MARKED = re.compile(f"({_START}[^{_END}]*{_END})")
# Values side by side are one: a program with its arguments, a variable and what it is set to.
_JOINED = re.compile(f"{_END}([ =:]){_START}")


def visible(text: str) -> str:
    """Return TEXT with an escape for each character that a reader does not see as itself."""
    if text.isascii() and text.isprintable():
        return text
    hidden = doubtful(text)
    return "".join(c if is_seen(c) and i not in hidden else _escape(c) for i, c in enumerate(text))


def _escape(c: str) -> str:
    code = ord(c)
    return _SHORT.get(c) or (f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")


def quoted(text: str) -> str:
    """Return TEXT in double quotes, whole; blanks are escaped where more than 16 stand together."""
    escaped = visible(text.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + re.sub(" {17,}", lambda run: "\\u0020" * len(run[0]), escaped) + '"'


def word(text: str) -> str:
    """Return TEXT as one word of a sentence, marked as a value."""
    if len(text) > MOST:
        ends = f"{quoted(text[:_HEAD])}...{quoted(text[-_TAIL:])}"
        return f"{marked(ends)} ({len(text)} characters, {digest_of(text)})"
    return marked(text if _PLAIN.fullmatch(text) else quoted(text))


def digest_of(content: str | bytes) -> str:
    """Return what stands in a sentence for what it does not show of CONTENT.

    Facts are compared by their sentences, so it is all of the digest: for 12 digits of it,
    somebody finds another content within seconds.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return f"sha256 {hexdigest(content)}"


def bare(text: str) -> str:
    """Return TEXT as one word that stands alone, or where nobody tells values from words."""
    return plain(word(text))


def marked(text: str) -> str:
    """Return TEXT, which is ready to be shown, marked as a value of a sentence."""
    return f"{_START}{text}{_END}"


def plain(sentence: str) -> str:
    """Return SENTENCE without the marks around its values."""
    return sentence.replace(_START, "").replace(_END, "")


def pieces(sentence: str) -> Iterator[tuple[bool, str]]:
    """Yield the parts of SENTENCE in order, and whether each is a value or krunc's own words."""
    for part in split(_JOINED.sub(r"\1", sentence)):
        yield is_marked(part), plain(part)


def split(sentence: str) -> list[str]:
    """Return the parts of SENTENCE in order, values with their marks; joined they are SENTENCE."""
    return [part for part in _MARKED.split(sentence) if part]


def is_marked(part: str) -> bool:
    """Tell whether PART of a sentence is a value."""
    return part.startswith(_START)


def part(text: str, start: int, end: int) -> str:
    """Return a long TEXT as one word of a sentence, by what stands from START to END and around
    it."""
    start, end = max(0, start - _NEAR), min(len(text), end + _NEAR)
    shown_ = quoted(text[start:end])
    if end - start > MOST:
        shown_ = f"{quoted(text[start : start + _HEAD])}...{quoted(text[end - _TAIL : end])}"
    before, after = "..." if start else "", "..." if end < len(text) else ""
    return f"{marked(before + shown_ + after)} ({len(text)} characters, {digest_of(text)})"


def words(texts: list[str]) -> str:
    """Return TEXTS as a list in a sentence, cut when it is long."""
    shown = ", ".join(map(word, texts[:_LISTED]))
    rest = texts[_LISTED:]
    return shown + (f" and {len(rest)} more ({digest_of(json.dumps(rest))})" if rest else "")


def shown(value: Any) -> str:
    """Return a JSON value, whole, in one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case dict():
            return "{" + ", ".join(f"{key(k)}: {shown(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(shown, value)) + "]"
        case str():
            return quoted(value)
        case _:
            return str(value)


def key(text: str) -> str:
    """Return the key of a map: bare when it is plain."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def columns(text: str) -> int:
    """Tell how many columns of a terminal TEXT takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(c: str) -> int:
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def folded(text: str, room: int) -> list[str]:
    """Return TEXT in pieces of at most ROOM columns (2 for a wide character), blanks at their ends
    aside.

    It is broken behind blanks where there are any. Nothing is lost: joined, the pieces are TEXT.
    """
    pieces: list[str] = []
    start = used = broken = 0
    for at, c in enumerate(text):
        if c == " ":
            used += 1
            broken = at + 1
            continue
        wide = _columns(c)
        if used + wide > room and at > start:
            cut = broken if broken > start else _sign(text, start, at)
            pieces.append(text[start:cut])
            start = cut
            used = columns(text[start:at])
        used += wide
    return [*pieces, text[start:]]


def _sign(text: str, start: int, end: int) -> int:
    """Behind a sign where a reader expects a break, when the second half of the piece has one."""
    sign = max(text.rfind(one, (start + end) // 2, end) for one in "(,=/")
    return sign + 1 if sign > start else end
