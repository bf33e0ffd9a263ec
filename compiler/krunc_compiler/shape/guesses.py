"""Which key is meant by one that a schema does not know."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Path

if TYPE_CHECKING:
    from krunc_compiler.shape.misfits import Misfit

# Which key of the map at a path is meant by another, if one is.
Meant = Callable[[Path, str], str | None]

_MOST = 100
# So alike are an unknown key and the one that it is meant to be, in short and in long ones: tga is
# tag, and containerd is no confine.
_NEAR, _NEAR_LONG = 0.6, 0.8
# What a longer name may have in addition: memory_mb is memory, and name_servers is no name.
_MORE = re.compile("e?s|_?(?:[mgk]i?b|bytes|count|value)")
_NOT = re.compile("(?:no|not|non|un|dis|disable|without|skip|never)_?")


def guesses(error: Misfit, path: Path, meant: Meant) -> dict[str, str | None]:
    """Return the unknown keys of a map, each with the known one that it is meant to be, if any."""
    known = _known(error.schema)
    unknown = [key for key in error.value if key not in known]
    # Looking for the nearest takes time, which a hostile box has keys to use up.
    near = {key: meant(path, key) or _nearest(key, known) for key in unknown[:_MOST]}
    return {key: near.get(key) for key in unknown}


def keys_named(value: Any, forms: list[dict[str, Any]], path: Path, meant: Meant) -> set[str]:
    """Return the keys of FORMS that VALUE has, or has others for."""
    if not isinstance(value, dict):
        return set()
    known = list(dict.fromkeys(key for form in forms for key in _known(form)))
    unknown = [key for key in value if key not in known][:_MOST]
    found = (meant(path, key) or _nearest(key, known) for key in unknown)
    return {*(value.keys() & known), *filter(None, found)}


def _known(rule: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys([*rule.get("properties", ()), *rule.get("required", ())]))


def _nearest(key: str, known: list[str]) -> str | None:
    folded = key.lower().replace("-", "_")
    least = _NEAR if len(key) < 5 else _NEAR_LONG
    close = wording.nearest(key, known, least) or wording.nearest(folded, known, least)
    if close is None and len(key) > 2:
        alike = (name for name in known if name.startswith(folded) or _is_longer(folded, name))
        close = next(alike, None)
    return None if close is None or _is_opposite(folded, close) else close


def _is_longer(key: str, name: str) -> bool:
    return key.startswith(name) and _MORE.fullmatch(key[len(name) :]) is not None


def _is_opposite(key: str, name: str) -> bool:
    """Tell whether KEY denies NAME: whoever renames it says the opposite."""
    return key.endswith(name) and _NOT.fullmatch(key.removesuffix(name)) is not None
