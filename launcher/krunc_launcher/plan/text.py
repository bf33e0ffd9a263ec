"""What a text, a name of a variable, and a path of the host may be."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import CHARSETS, KINDS, PLAN
from krunc_launcher.errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Path = tuple[str | int, ...]
    Findings = list[tuple[Path, str]]
    # The parameters of an operation that a plan gives a value, and these.
    Given = list[tuple[dict[str, Any], Any]]


RUNTIME: str = PLAN["runtime"]
LAUNCH: str = PLAN["launch"]
STORE: str = PLAN["store"]


def text(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> bool:
    """Check a string: no NUL, UTF-8, its length and characters; tell whether it is good."""
    before = len(found)
    if type(value) is not str:
        found.append((path, f"found {shown(value)}; expected a string"))
        return False
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        found.append((path, "a lone surrogate is not a character"))
        return False
    if "\0" in value:
        found.append((path, "a NUL character ends a C string"))
    least, most = rule.get("min_bytes", 0), rule.get("max_bytes")
    if size < least or (most is not None and size > most):
        found.append((path, f"found {size} bytes; allowed: {least} to {most}"))
    if "prefix" in rule and not value.startswith(rule["prefix"]):
        found.append((path, f"found {shown(value)}; it starts with {rule['prefix']}"))
    if "charset" in rule and value.strip(CHARSETS[rule["charset"]][0]):
        # strip leaves something when a character of another kind stands anywhere.
        found.append((path, f"found {shown(value)}; allowed: {CHARSETS[rule['charset']][1]}"))
    return len(found) == before


def fits(value: Any, kind: dict[str, Any]) -> bool:
    """Tell whether VALUE is a string of the pattern, or of the numbers, of KIND."""
    if "numbers" in kind:
        return numbers(value, kind) is not None
    if type(value) is not str or len(value) % kind.get("multiple_of", 1):
        return False
    return _matches(value, kind["runs"]) and not any(
        _matches(value, runs) for runs in kind["except"]
    )


def _matches(rest: str, runs: list[tuple[str, int, int]]) -> bool:
    for characters, least, most in runs:
        size = min(len(rest) - len(rest.lstrip(characters)), most)
        if size < least:
            return False
        rest = rest[size:]
    return not rest


def numbers(value: Any, kind: dict[str, Any]) -> list[int] | None:
    """Return the numbers of a string such as 8080:80, or None when it is not of KIND."""
    rule = kind["numbers"]
    parts = value.split(rule["between"]) if type(value) is str else []
    if not rule["least"] <= len(parts) <= rule["most"]:
        return None
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= len(str(rule["max"]))):
            return None
        if part[0] == "0" != part and not rule["leading_zeros"]:
            return None
    found = [int(part) for part in parts]
    return found if rule["min"] <= min(found) and max(found) <= rule["max"] else None


def is_whole(value: Any, kind: dict[str, Any]) -> bool:
    """Tell whether VALUE is a whole number in the range of KIND."""
    return type(value) is int and bool(kind["min"] <= value <= kind["max"])


def is_name(value: Any) -> bool:
    """Tell whether VALUE may name a variable of an environment."""
    return fits(value, KINDS["variable"])


def lies_in(path: str, directories: list[str]) -> bool:
    """Tell whether the absolute PATH is one of DIRECTORIES or below it, by its text."""
    whole = "/" + system.normpath(path).lstrip("/")
    return any(whole == directory or whole.startswith(directory + "/") for directory in directories)


def _is_of_the_stage(value: str, rule: dict[str, Any]) -> bool:
    """Tell whether VALUE is one of the two paths of a launch, where the parameter RULE can have
    it."""
    from krunc_launcher._stage_rules import STAGE

    if value == STAGE["root"]:
        return "admits" in rule or rule.get("target") == "directory"
    return value == STAGE["socket"] and rule.get("kind") == "socket_path"


def _is_of_the_store(value: str, rule: dict[str, Any]) -> bool:
    """Tell whether VALUE names a root of the store, where the parameter RULE can have one."""
    may = "store" in rule or rule.get("target") == "disk"
    return may and fits(value[len(STORE) :], KINDS["digest"])


def host_path(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Check a path of the host, which does not leave the runtime directory if it names it."""
    kind = KINDS["host_path"]
    if not text(value, kind, path, found):
        return
    if value.startswith("/") and lies_in(value, kind["views"]):
        found.append((path, f"found {shown(value)}; {kind['views_why']}"))
    if value.startswith(LAUNCH) and not _is_of_the_stage(value, rule):
        found.append((path, f"found {shown(value)}; {LAUNCH} is the stage's own"))
    if value.startswith(STORE) and not _is_of_the_store(value, rule):
        found.append((path, f"found {shown(value)}; {STORE} names an image by its digest"))
    rest = value.removeprefix(RUNTIME)
    if rest != value and not set(kind["parts_refused"]).isdisjoint(rest.split("/")):
        found.append((path, f"found {shown(value)}; {kind['why']}"))
