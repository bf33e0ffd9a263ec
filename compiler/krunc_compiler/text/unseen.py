"""Characters that a reader of a committed file does not see as themselves."""

from __future__ import annotations

import re

from krunc_compiler.findings.report import is_seen

# A surrogate is no character: whoever writes the text refuses it.
_OTHERS = "[^\n -~\ud800-\udfff]"


def escaped(text: str) -> str:
    """Return the JSON TEXT with each character that is not seen as itself as JSON's escape."""
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(_OTHERS, _escape, text)


def _escape(found: re.Match[str]) -> str:
    if is_seen(found[0]):
        return found[0]
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
