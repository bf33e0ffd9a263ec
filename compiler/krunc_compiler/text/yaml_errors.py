"""What libyaml says about text that is not YAML, as a finding with a way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import category

from krunc_compiler.findings.finding import Finding, Span
from krunc_compiler.findings.report import LINE_END

if TYPE_CHECKING:
    from krunc_compiler.text.libyaml import YAMLError

# A part of libyaml's words, and what to do.
_WAYS_OUT = {
    "mapping values are not allowed": "start the keys of one map in the same column, each with a "
    "space after its colon; put a string with a colon in quotes",
    "could not find expected ':'": "write KEY: VALUE, with a space after the colon",
    "did not find expected ',' or": "close the bracket or brace, or write the comma",
    "did not find expected node content": "write a value, or close the bracket or brace",
    "unexpected end of stream": "close the quote",
    "unexpected document indicator": "close the quote",
    "number, while parsing a quoted scalar": "use single quotes, or write the backslash twice",
    "unknown escape character": "use single quotes, or write the backslash twice",
    "expected <document start>": "write each document into a file of its own",
    "did not find expected key": "start the keys of one map in the same column",
    "did not find expected '-' indicator": "start the items of one list in the same column",
    "block sequence entries are not allowed": "start a list on the line below its key",
    "mapping keys are not allowed": "put a string that starts with ? in quotes",
    "expected comment or": "start the string on the line below | or >",
    "indentation indicator equal to 0": "write | or > alone, and indent the lines below it",
    "found character that cannot start any token": "put the string in quotes",
    "found unexpected ':'": "put a string with a colon in quotes",
    "while scanning an alias": "put a string that starts with * in quotes",
    "while scanning an anchor": "put a string that starts with & in quotes",
    "scanning a tag": "put a string that starts with ! in quotes",
    "parsing a tag": "put a string that starts with ! in quotes",
    "tag handle": "put a string that starts with ! in quotes",
    "directive": "remove the line, or put a string that starts with % in quotes",
    "YAML document": "remove the line that starts with %",
}
# What is left of libyaml's words are about its own tables.
_ANY = "put strings in quotes, and close brackets and quotes before this place"

_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
# As JSON writes a character beyond U+FFFF.
_PAIR = r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
# Far above any real box; it bounds time and memory for hostile ones.
MAX_DEPTH = 32


def too_deep(span: Span) -> Finding:
    """Return the finding about the level too many at SPAN."""
    hint = "close the bracket that is open, or write fewer levels"
    return Finding("KR006", f"more than {MAX_DEPTH} levels of nesting", hint=hint, span=span)


def finding_of(error: YAMLError, text: str) -> Finding:
    """Return the finding for ERROR about TEXT."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return _character(error, text)
    span = Span(mark.line, mark.column, mark.line, mark.column + 1)
    # libyaml's own bound, far above krunc's; newer ones meet it while they look ahead.
    if "maximum nesting depth" in str(getattr(error, "problem", None)):
        return too_deep(span)
    words = str(getattr(error, "problem", None) or "cannot be read")
    words = words.replace("hexdecimal", "hexadecimal")  # libyaml's spelling
    if "invalid Unicode character escape code" in words:
        return _escape(span, text)
    context, start = getattr(error, "context", None), getattr(error, "context_mark", None)
    if context:
        words += f", {context}"
        if start is not None and start.line < mark.line:
            words += f" that starts on line {start.line + 1}"
    hint = next((way for part, way in _WAYS_OUT.items() if part in words), _ANY)
    if "did not find expected ',' or" in words and _at(span, text) == ":":
        hint = f"put a string with a colon and a space in quotes, or {hint}"
    first = mark.line if start is None else start.line
    lines = text.split("\n")[first : mark.line + 1]
    like_a_space = next((c for c in "".join(lines) if c != " " and category(c) == "Zs"), None)
    if "\\t" in words or (lines and "\t" in lines[-1][: mark.column + 1]):
        hint = "replace the tab: YAML is indented with spaces"
    elif like_a_space is not None:
        hint = f"write a space: the character U+{ord(like_a_space):04X} only looks like one"
    return Finding("KR003", f"this is not YAML: {words}", span=span, hint=hint)


def _at(span: Span, text: str) -> str:
    return "".join(re.split(LINE_END, text)[span.line : span.line + 1])[
        span.column : span.end_column
    ]


def _escape(behind: Span, text: str) -> Finding:
    """Return the finding about an escape of no character; BEHIND is where its digits start."""
    line, start = behind.line, max(0, behind.column - 2)
    written = re.split(LINE_END, text)[line][start:]
    found = re.match(_ESCAPE, written)
    said = found.group() if found else written[:2]
    is_half = found is not None and 0xD800 <= int(said[2:], 16) <= 0xDFFF
    what = "half of a character" if is_half else "no character"
    hint = "write the character itself, or escape a backslash that is meant: \\\\"
    if is_half:
        pair = re.match(_PAIR, written)
        hint = "write both escapes that JSON has for a character beyond U+FFFF, \\ud83d\\ude00"
        if pair:
            code = ord(bytes.fromhex(pair[1] + pair[2]).decode("utf-16-be"))
            hint = f"write the one escape that YAML has for it, \\U{code:08x}"
        hint += ", or the character itself"
    span = Span(line, start, line, start + len(said))
    return Finding("KR003", f"the escape {said} stands for {what}", span=span, hint=hint)


def _character(error: YAMLError, text: str) -> Finding:
    position = int(getattr(error, "position", 0))
    character = getattr(error, "character", 0)
    code = character if isinstance(character, int) else ord(str(character)[:1] or "\0")
    head = text[:position]
    line = head.count("\n")
    column = len(head) - (head.rfind("\n") + 1)
    return Finding(
        "KR003",
        f"the character U+{code:04X} is not allowed in YAML",
        hint="remove it, or write it as an escape inside double quotes",
        span=Span(line, column, line, column + 1),
    )
