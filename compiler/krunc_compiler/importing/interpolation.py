"""Variables in a Compose file: ${NAME}, $NAME, with defaults, as Compose puts them in."""

from __future__ import annotations

import re
from typing import NamedTuple

# Compose's own: $$ is a dollar, a name may be in braces with a default or an error behind it.
_PATTERN = re.compile(
    r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)"
    r"|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])((?:[^{}$]|\$\$)*))?\})?"
)


class Filled(NamedTuple):
    """A text with its defaults put in: the names of those, and of variables without one.

    `only` is the name when all of the text is one variable; `odd` says that a $ is no variable.
    """

    text: str
    defaulted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    only: str = ""
    odd: bool = False


def fill(text: str) -> Filled:
    """Return TEXT with the defaults of its variables in their places.

    What stands for a variable that is set (`+`) is left out, for here none is.
    """
    if "$" not in text:
        return Filled(text)
    parts: list[str] = []
    defaulted: list[str] = []
    unknown: list[str] = []
    only, odd, end = "", False, 0
    for found in _PATTERN.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        dollar, plain, braced, sign, rest = found.groups()
        name = plain or braced
        if dollar:
            parts.append("$")
        elif not name:
            odd = True
            parts.append("$")
        elif sign and sign[-1] in "-+":
            defaulted.append(name)
            parts.append(rest.replace("$$", "$") if sign[-1] == "-" else "")
        else:
            unknown.append(name)
            parts.append(found[0])
        if name and found[0] == text:
            only = name
    parts.append(text[end:])
    return Filled("".join(parts), tuple(defaulted), tuple(unknown), only, odd)
