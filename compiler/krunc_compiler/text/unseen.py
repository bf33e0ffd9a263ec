"""Characters that a reader of a committed file does not see, or that move others."""

from __future__ import annotations

import re

# Of Unicode's general categories Cc beside line breaks, Cf, Zl and Zp what terminals, editors and
# git show as nothing, in another order, or as a command: UTS 55 has the attacks.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def escaped(text: str) -> str:
    """Return the JSON TEXT with each unseen character of its strings as JSON's escape."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
