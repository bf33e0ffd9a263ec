"""Secrets of a plan: {"from_env": NAME}, {"from_file": PATH} or {"from_fd": NUMBER} in place of the
value of a variable. A plan only says where they are."""

from __future__ import annotations

from krunc_launcher._rules import KINDS
from krunc_launcher.plan.text import host_path, is_name, is_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Path

FORMS = 'a string, {"from_env": NAME}, {"from_file": PATH} or {"from_fd": NUMBER}'


def check(item: dict[str, Any], where: Path, found: Findings) -> None:
    """Append to FOUND what is wrong with ITEM as the place of a secret."""
    kind = next(iter(item), "") if len(item) == 1 else ""
    given = item.get(kind)
    if kind == "from_env" and is_name(given):
        return
    if kind == "from_fd" and is_whole(given, KINDS["descriptor"]):
        return
    if kind == "from_file":
        host_path(given, {}, (*where, kind), found)
        return
    found.append((where, f"allowed: {FORMS}"))


def shown(item: dict[str, Any]) -> str:
    """Tell where a secret comes from, for a reader."""
    ((kind, given),) = item.items()
    return f"<{kind} {given}>"
