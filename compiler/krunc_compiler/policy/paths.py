"""Whether a path of a plan is among those that a policy allows, as both are written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from krunc_compiler.files.hostpath import RUNTIME


def allowed(path: str, folder: str, patterns: Iterable[str], base: str) -> bool:
    """Whether PATH, of a plan in FOLDER, is one of PATTERNS, relative to BASE, or below one.

    Only the texts are compared: symbolic links are the host's, and not known here.
    """
    return any(_fits(_whole(path, folder), _whole(pattern, base)) for pattern in patterns)


def _whole(path: str, base: str) -> str:
    if path.startswith(RUNTIME):
        return RUNTIME + os.path.normpath("/" + path.removeprefix(RUNTIME)).rstrip("/")
    return os.path.abspath(os.path.join(base, path))


def _fits(path: str, pattern: str) -> bool:
    parts = re.split(r"(\*\*|\*)", pattern.rstrip("/"))
    regex = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(f"{regex}(/.*)?", path, re.DOTALL) is not None


def named(text: str, patterns: Iterable[str]) -> bool:
    """Whether TEXT is one of PATTERNS, in which * stands for any characters."""
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
        for pattern in patterns
    )
