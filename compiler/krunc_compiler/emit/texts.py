"""Texts of a plan in the files of engines: one function for each form, which no text breaks out of.

What a form has no way to write raises Unspeakable. tests/emit/test_texts.py puts every character
through each engine's own reader.
"""

from __future__ import annotations

import re

from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.findings.report import printable

_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# The most of a name in the DNS (RFC 1123), which Kubernetes and others take for their own.
LABEL = 63
_SHORT = 8


class Unspeakable(Exception):
    """A text that an engine's file has no way to write."""


def comment(text: str) -> str:
    """Return TEXT as a comment of one line, for every format whose comments start with #.

    What a reader would not see is escaped. A comment never ends in a backslash, which could lead
    on into the next line.
    """
    shown = printable(text)
    return f"# {shown}." if shown.endswith("\\") else f"# {shown}".rstrip()


def systemd_word(text: str) -> str:
    """Return TEXT as one word of ExecStart= or Environment=, where C's escapes are read
    (systemd.syntax(7)), and % is doubled (systemd.unit(5), specifiers)."""
    return f'"{"".join(map(_systemd, _spoken(text)))}"'


def _systemd(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "%":
        return "%%"
    if character < " " or character == "\x7f":
        return f"\\x{ord(character):02x}"
    return character


def systemd_path(text: str) -> str:
    """Return TEXT as a path of ReadWritePaths=, BindPaths= or DeviceAllow=, which know quotes and
    backslashes, and no other escapes. Raises Unspeakable for control characters."""
    if any(character < " " or character in "\x7f\x85" for character in _spoken(text)):
        raise Unspeakable("a path with a control character")
    shown = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{shown}"'


def shell_word(text: str) -> str:
    """Return TEXT as one word of a POSIX shell."""
    if _WORD.fullmatch(_spoken(text)):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def hcl_string(text: str) -> str:
    """Return TEXT as a quoted template of HCL, in which nothing is worked out: the brace of ${ and
    %{ is an escape, which is no brace yet where templates are looked for."""
    out = []
    for character in _spoken(text):
        if character in '"\\':
            out.append(f"\\{character}")
        elif character in _HCL_ESCAPES:
            out.append(_HCL_ESCAPES[character])
        elif not character.isprintable():
            code = ord(character)
            out.append(f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
        else:
            out.append(character)
    return '"' + "".join(out).replace("${", "$\\u007b").replace("%{", "%\\u007b") + '"'


_HCL_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _spoken(text: str) -> str:
    """Return TEXT, which has to be UTF-8 without NUL."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Unspeakable("a string that is not UTF-8, or holds a NUL")
    return text


def label(name: str, room: int = LABEL) -> str:
    """Return NAME as a label of at most ROOM lower-case letters, digits and hyphens.

    What cannot stand as it is gets a digest of itself at its end, so that two names that are alike
    once they are shortened stay two.
    """
    if len(name) <= room and _LABEL.fullmatch(name):
        return name
    suffix = hexdigest(name.encode())[:_SHORT]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    short = plain[: room - _SHORT - 1].rstrip("-")
    return f"{short}-{suffix}" if short else suffix


class Names:
    """The names that an engine's objects have in one run, each once."""

    def __init__(self) -> None:
        self._plans: dict[str, tuple[str, str]] = {}

    def taken(self, name: str, box: str, path: str) -> tuple[str, str] | None:
        """Return the box that has the object's NAME already, and its plan; None when it is that of
        BOX, whose plan is at PATH, now."""
        if name in self._plans:
            return self._plans[name]
        self._plans[name] = box, path
        return None
