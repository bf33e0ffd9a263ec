"""Warnings about the words of a program: passwords in URLs, and arguments in the program's path."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from krunc_compiler.box.box import Box
from krunc_compiler.findings.finding import Finding, Path

# scheme://user:password@host (RFC 3986, 3.2.1). What a shell or a program fills in is no password.
_IN_URL = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^/\s:@?#'\"]{0,256}:(?![$%<{*@])[^/\s@?#'\"]{1,256}@"
_MOST_WORDS = 8


def check(box: Box) -> Iterator[Finding]:
    """Yield the warnings about the program of BOX."""
    for key, text in _texts(box):
        if "://" in text and re.search(_IN_URL, text):
            yield Finding(
                "KR610",
                "a password is in this URL, and the plan would hold it",
                key,
                hint="remove it from the URL, and give it to the program as a variable: "
                "NAME: {from_env: NAME} under entrypoint.env",
            )
    executable = box.entrypoint.executable
    if len(executable.split()) > 1 and box.origin("entrypoint", "executable"):
        yield Finding(
            "KR618",
            "a space is in the path of the program, which takes no arguments there",
            ("entrypoint", "executable"),
            hint=f"{_split(executable)}; where the path has the space, allow KR618",
        )


def _texts(box: Box) -> Iterator[tuple[Path, str]]:
    """Yield the texts of the program that the box itself has, each with its key."""
    entry = box.entrypoint
    if box.origin("entrypoint", "args"):
        yield from ((("entrypoint", "args", i), text) for i, text in enumerate(entry.args))
    for name, value in entry.env.items():
        if isinstance(value, str) and box.origin("entrypoint", "env", name):
            yield ("entrypoint", "env", name), value
    for name, script in (("script", entry.script), ("before", entry.before)):
        if script is not None:
            yield ("entrypoint", name), script


def _split(text: str) -> str:
    """Tell how the command line TEXT is written as a program and its arguments."""
    try:
        words = shlex.split(text)
    except ValueError:  # quotes that are not closed
        words = text.split()
    few = words[1:_MOST_WORDS]
    more = [] if len(words) <= _MOST_WORDS else ["..."]
    return (
        f"write executable: {words[0]}, and args: {json.dumps([*few, *more], ensure_ascii=False)}"
    )
