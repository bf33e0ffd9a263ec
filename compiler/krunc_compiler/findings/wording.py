"""The words of findings about a value: what was found, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

# Of a number or a boolean where a string is wanted.
QUOTES = "put it in quotes"
_SHOWN = 60
_LONGEST = 100
_MOST = 1_000
_FEW = 8


def why(error: OSError) -> str:
    """Tell what the system says of ERROR."""
    return (error.strerror or str(error)).lower()


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return COUNT and the NOUN that agrees with it: 1 box, 2,000 boxes."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def forms_of(rules: list[dict[str, Any]]) -> str:
    """Tell how a text is to be written, where one of RULES says it."""
    forms = [rule["x-form"] for rule in rules if "x-form" in rule]
    return f"write {forms[0]}" if forms else ""


def quotes(value: Any, rules: list[dict[str, Any]]) -> str:
    """Return the advice to quote VALUE, where RULES want a text."""
    wants_text = any(rule.get("type") == "string" for rule in rules)
    if value is None and wants_text:
        may_be_empty = any(
            rule.get("type") == "string" and not rule.keys() & {"pattern", "minLength", "enum"}
            for rule in rules
        )
        if may_be_empty:
            return 'write "" for an empty string'
        return "write a value, and ~ in quotes: in YAML, ~ and nothing are null"
    return QUOTES if isinstance(value, bool | int | float) and wants_text else ""


def octal(value: Any, rule: dict[str, Any]) -> str:
    """Return the string that RULE wants for VALUE, the number that YAML makes of 0o755, if it is
    meant like that."""
    is_small = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 0o10000
    if not is_small or "pattern" not in rule or re.search(rule["pattern"], str(value)):
        return ""
    digits = f"{value:04o}"
    return f'"{digits}"' if re.search(rule["pattern"], digits) else ""


def one_string(value: Any, rule: dict[str, Any]) -> str:
    """Tell how VALUE, a list or a map, is written as the string that RULE wants."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return ""
    if rule.get("x-items") == "lines":
        return "write | in its place, and each command on a line of its own below it"
    if len(value) == 1 or "x-items" in rule:
        return f"write one string: {shown(','.join(value))}"
    return ""


def allowed(found: Any, allowed: list[Any], forms: Sequence[str] = ()) -> str:
    """Tell which of the ALLOWED values to write, the nearest to FOUND first, or which of the FORMS
    that a value can have beside them."""
    words = [str(item) for item in allowed]
    if isinstance(found, str) and found in words and found not in allowed:
        return f"write it without quotes: {found}"
    close = nearest(str(found), words) or nearest(str(found).lower(), words)
    guess = f"did you mean {close}? " if close else ""
    ways = [*words, *forms]
    return f"{guess}write {'one of: ' * (len(ways) > 1)}{', '.join(ways)}"


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """Return the one of KNOWN that was meant by WORD, where one is near: alike by LEAST, of 1."""
    from difflib import get_close_matches  # a box that is right needs none

    # Looking takes time, and a hostile box has names to use it up.
    return next(
        iter(get_close_matches(word[:_LONGEST], list(islice(known, _MOST)), 1, least)), None
    )


def nearest_first(word: str, known: list[str]) -> str:
    """Return the KNOWN words in one line; of many the eight that are most like WORD, the nearest
    first. Without a WORD they are the first eight."""
    if len(known) <= _FEW:
        return ", ".join(known)
    from difflib import SequenceMatcher  # a box that is right needs none

    matcher = SequenceMatcher(None, "", word[:_LONGEST])

    def unlike(name: str) -> float:
        matcher.set_seq1(name)
        return -matcher.ratio()

    few = (sorted(known, key=unlike) if word else known)[:_FEW]
    return f"{', '.join(few)} and {len(known) - _FEW} more"


def added(key: str, schema: dict[str, Any]) -> str:
    """Tell to add a KEY that is missing, what it is for, and what it can be, by its SCHEMA."""
    text = about(schema)
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]  # not a name of capitals
    values = ", ".join(map(str, schema.get("enum", ())))
    return f"add `{key}`{f' ({text})' * bool(text)}{f': one of {values}' * bool(values)}"


def bounds(schema: dict[str, Any]) -> str:
    """Return the range that SCHEMA allows, with its unit."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        text = f"{low} to {high}"
    else:
        text = f"{low} or more" if high is None else f"{high} or less"
    return f"{text} {schema.get('x-unit', '')}".rstrip()


def about(schema: dict[str, Any]) -> str:
    """Return the first sentence of a description."""
    text = str(schema.get("description", ""))
    return text.split(". ")[0].rstrip(".")


def meant(schema: dict[str, Any]) -> str:
    """Tell what to write by what SCHEMA is for."""
    text = about(schema)
    if text:
        return f"write a value that fits: {text}"
    return "write one string" if schema.get("type") == "string" else ""


def too_few(value: Any, least: int) -> str:
    """Tell that VALUE has not LEAST items, keys or characters."""
    return f"this has {len(value)} of at least {least}" if len(value) else "this is empty"


def filled(least: int, schema: dict[str, Any], may_go: bool) -> str:
    """Tell what to write where there is nothing, which MAY_GO."""
    if not may_go:
        return meant(schema) or "write a value"
    things = {"array": "item", "object": "key"}.get(schema.get("type", ""), "character")
    return f"write at least {least} {things}{'s' if least > 1 else ''}, or remove it"


def shown(value: Any) -> str:
    """Return VALUE as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
