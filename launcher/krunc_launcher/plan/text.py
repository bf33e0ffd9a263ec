"""What a text, a name of a variable, and a path of the host may be."""

from __future__ import annotations

from krunc_launcher._rules import CHARSETS
from krunc_launcher.errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Path = tuple[str | int, ...]
    Findings = list[tuple[Path, str]]


RUNTIME = "runtime:"
_NAME_FIRST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
_NAME = _NAME_FIRST + "0123456789"


def text(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> bool:
    """Check a string: no NUL, UTF-8, its length and characters; tell whether it is good."""
    before = len(found)
    if type(value) is not str:
        found.append((path, f"found {shown(value)}; a text is needed"))
        return False
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        found.append((path, "a lone surrogate is no character"))
        return False
    if "\0" in value:
        found.append((path, "a NUL character ends a C string"))
    least, most = rule.get("min_bytes", 0), rule.get("max_bytes")
    if size < least or (most is not None and size > most):
        found.append((path, f"found {size} bytes; allowed: {least} to {most}"))
    if not value.startswith(rule.get("prefix", "")):
        found.append((path, f"found {shown(value)}; it starts with {rule['prefix']}"))
    charset = rule.get("charset")
    if charset is not None and value.strip(CHARSETS[charset][0]):
        # strip leaves something when a character of another kind stands anywhere.
        found.append((path, f"found {shown(value)}; allowed: {CHARSETS[charset][1]}"))
    return len(found) == before


def is_name(value: Any) -> bool:
    """Whether VALUE may name a variable of an environment."""
    return (
        type(value) is str and value[:1] in _NAME_FIRST and value != "" and not value.strip(_NAME)
    )


def host_path(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Check a path of the host, which does not leave the runtime folder if it names it."""
    if not text(value, {"min_bytes": 1, "max_bytes": 4095}, path, found):
        return
    rest = value.removeprefix(RUNTIME)
    if rest != value and not {"", ".", ".."}.isdisjoint(rest.split("/")):
        found.append((path, f"found {shown(value)}; it leaves the runtime folder or names nothing"))
