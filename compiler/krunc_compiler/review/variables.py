"""Which environment variables make programs of the guest run other code, by the table
schema/krunc_schema/variables.json."""

import posixpath
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from krunc_schema import load

from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.facts.storage import PROGRAM_FILE, SCRIPT

# krunc's own in the root, which no program takes for its settings.
_OWN = (f"/{PROGRAM_FILE}", f"/{SCRIPT}")


def loading(row: Ordered) -> dict[str, Any]:
    """Return the variables that ROW sets by which programs find other code."""
    env = _environment(row.args)
    return {name: value for name, value in env.items() if _loads_code(name)} if env else {}


def homes(row: Ordered) -> dict[str, Any]:
    """Return the directories that ROW names to programs for their settings."""
    env = _environment(row.args)
    return {name: env[name] for name in _homes() if name in env} if env else {}


def in_home(home: str, places: Sequence[str]) -> str | None:
    """Return the first of PLACES, where the plan puts something, that HOME is in, or that a program
    can take for its settings in it."""
    home = posixpath.normpath("/" + home.lstrip("/"))
    for place in places:
        holds = home == place or home.startswith(place.rstrip("/") + "/")
        if holds or (place.startswith(home.rstrip("/") + "/.") and place not in _OWN):
            return place
    return None


def _environment(args: dict[str, Any]) -> dict[str, Any]:
    """Return the variables that arguments set, of a call or of the file that init reads."""
    data = args.get("data")
    process = data.get("process", {}) if isinstance(data, dict) else {}
    found: dict[str, Any] = args.get("envp") or process.get("env") or {}
    return found


def _loads_code(name: str) -> bool:
    """Tell whether programs find other code by the variable NAME."""
    exact, patterns, in_any_case, patterns_in_any_case = _known()
    if name in exact or patterns.fullmatch(name):
        return True
    name = _in_one_case(name)
    return name in in_any_case or patterns_in_any_case.fullmatch(name) is not None


@cache
def _known() -> tuple[frozenset[str], re.Pattern[str], frozenset[str], re.Pattern[str]]:
    """Return the names of the table and the patterns of names; those in any case are last."""
    rows = load("variables")["programs"]
    exact = [name for row in rows if not row.get("any_case") for name in row["names"]]
    folded = [_in_one_case(name) for row in rows if row.get("any_case") for name in row["names"]]
    return *_sorted(exact), *_sorted(folded)


def _sorted(names: list[str]) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return NAMES without a * and one pattern for those with one."""
    patterns = [re.escape(name).replace(r"\*", ".*") for name in names if "*" in name]
    return frozenset(names), re.compile("|".join(patterns), re.DOTALL)


def _in_one_case(name: str) -> str:
    return name.lower().replace("-", "_")


@cache
def _homes() -> tuple[str, ...]:
    return tuple(name for row in load("variables")["homes"] for name in row["names"])
