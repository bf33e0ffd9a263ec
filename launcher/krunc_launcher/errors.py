"""What ends a launch before the guest runs."""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# The exit status when the VM was not started, or libkrun failed: the container engines' convention.
NOT_STARTED = 125
NOWHERE = "the working directory is not there any more; change to another"


class LaunchError(Exception):
    """The VM was not started; `lines` say why, each a sentence for the person who launches."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


class PlanRefused(Exception):
    """The plan is wrong; `findings` are (path in the plan, sentence). A text that is no plan at
    all has one, at `place`: its line and column, from 1. `also` is what the host lacks besides,
    `text` the plan's."""

    def __init__(
        self,
        findings: list[tuple[tuple[str | int, ...], str]],
        place: tuple[int, int] | None = None,
        also: list[str] | None = None,
        text: str = "",
    ) -> None:
        super().__init__(findings)
        self.also = also or []
        self.findings = findings
        self.place = place
        self.text = text


def why(error: OSError) -> str:
    """Tell what the system says of ERROR, for the end of a sentence."""
    return (error.strerror or str(error)).lower()


def leads_nowhere(path: str) -> bool:
    """Tell whether PATH is relative, and there is no working directory."""
    if path.startswith("/"):
        return False
    try:
        system.getcwd()
    except FileNotFoundError:
        return True
    return False


def returned(result: int) -> str:
    """Tell what a call of libkrun returned, for a reader: `returned -22, EINVAL, invalid
    argument`."""
    from errno import errorcode

    name = errorcode.get(-result)
    return f"returned {result}" + (f", {name}, {system.strerror(-result).lower()}" if name else "")


# So many spaces side by side are escaped, as in reviews.
_SPACES = " " * 17


def quoted(text: str) -> str:
    """Return TEXT in double quotes as C and JSON write it, with escapes for what a terminal would
    obey, and for what a reader would not see, or take for something else: the same as in reviews
    (docs/review.md)."""
    out = []
    hidden = _hidden(text)
    for i, character in enumerate(text):
        if character in '"\\':
            out.append("\\" + character)
        elif character.isprintable() and i not in hidden:
            out.append(character)
        elif character == "\n":
            out.append("\\n")
        elif character == "\t":
            out.append("\\t")
        else:
            code = ord(character)
            # \ooo never takes a following digit along, as \x does in C.
            out.append(
                f"\\{code:03o}"
                if code < 128
                else f"\\u{code:04x}"
                if code < 65536
                else f"\\U{code:08x}"
            )
    return '"' + "".join(out) + '"'


def plain(text: str) -> str:
    """Return TEXT for a message, without quotes around it."""
    if text.isprintable() and not _hidden(text):
        return text
    return quoted(text)[1:-1]


def _hidden(text: str) -> set[int]:
    """Return the indexes of what a reader of TEXT does not see as itself; in ASCII that is only a
    run of spaces, behind which something looks like a row of its own."""
    found: set[int] = set()
    end = 0
    while (start := text.find(_SPACES, end)) >= 0:
        end = len(text) - len(text[start:].lstrip(" "))
        found.update(range(start, end))
    if text.isascii():
        return found
    from krunc_launcher._look_alikes import hidden

    return found | hidden(text)


def asked_by(origin: str) -> str:
    """Name the key of the box, ORIGIN, behind a sentence; nothing where no key asks for it."""
    return "" if origin in ("", "default") else f" ({origin})"


def shown(value: Any) -> str:
    """Return VALUE for a message, short."""
    if isinstance(value, str):
        return quoted(value if len(value) < 80 else value[:77] + "...")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    return "a list" if isinstance(value, list) else "an object"
