"""Warnings about words: passwords in URLs, and arguments in a program's path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from krunc_compiler.box.box import Box
from krunc_compiler.findings.finding import Finding, Path

# What secrets begin with.
SECRET = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{20}|github_pat_|glpat-|AKIA[A-Z0-9]{16}"
    r"|xox[abprs]-|sk-[A-Za-z0-9_-]{20}"
)
# scheme://user:password@host (RFC 3986, 3.2.1), or a secret as the user. What a shell or a program
# fills in is no password.
_IN_URL = (
    r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
    rf"(?:[^/\s:@?#'\"]{{0,256}}:(?![$%<{{*@])|{SECRET})[^/\s@?#'\"]{{1,256}}@"
)
_URL = "://"
_MOST_WORDS = 8
# What of a box no plan has.
_UNPLANNED = frozenset(("allow", "extends", "matrix", "vars"))


def check(box: Box, shown: str) -> Iterator[Finding]:
    """Yield the warnings about the words of BOX, of which Python has SHOWN what it states."""
    planned = {key: one for key, one in box.written.items() if key not in _UNPLANNED}
    for key, text in _texts(planned, ()) if _URL in shown else ():
        if re.search(_IN_URL, text):
            yield Finding(
                "KR610",
                "a password is in this URL, and the plan would hold it",
                key,
                hint="remove it from the URL; give a secret to the program as a variable: "
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


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the texts in VALUE, which is at PATH, that can have a URL: wherever they are, the plan
    has them."""
    if isinstance(value, str):
        if _URL in value:
            yield path, value
        return
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _texts(item, (*path, key))


def _split(text: str) -> str:
    """Tell how the command line TEXT is written as a program and its arguments."""
    import shlex

    try:
        words = shlex.split(text)
    except ValueError:  # quotes that are not closed
        words = text.split()
    few = words[1:_MOST_WORDS]
    more = [] if len(words) <= _MOST_WORDS else ["..."]
    return (
        f"write executable: {words[0]}, and args: {json.dumps([*few, *more], ensure_ascii=False)}"
    )
