"""What the calls of a plan need of libkrun, which its head tells."""

from __future__ import annotations

from krunc_launcher._rules import ERAS, FUNCTIONS, KINDS, NEWER
from krunc_launcher.errors import shown
from krunc_launcher.plan.text import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Given


def check(plan: dict[str, Any], given: list[Given], found: Findings) -> None:
    """Append to FOUND where the head of PLAN is not what its calls, GIVEN parameters, need."""
    came = {ERAS[plan["api"]]["first"]}
    features = set()
    for row, pairs in zip(plan["operations"], given, strict=True):
        if "call" not in row:
            continue
        rule = FUNCTIONS[row["call"]]
        came.add(rule["since"])
        if "feature" in rule:
            features.add(rule["feature"])
        for param, value in pairs:
            newer = NEWER.get(param.get("enum") or param.get("flags", ""))
            if newer:
                names = value if type(value) is list else [value]
                came.update(newer[name] for name in names if name in newer)
    newest = max(came, key=_version)
    requires = plan["requires"]
    for name, needed in (("libkrun", newest), ("features", sorted(features))):
        if requires[name] != needed:
            told = needed if name == "libkrun" else ", ".join(needed) or "none"
            found.append((("requires", name), f"the calls need {told}; compile the box again"))
    target = numbers(plan["target"], KINDS["version"]) or []
    if len(target) > 1 and _version(newest) > [*target, 999]:
        what = f"found {shown(plan['target'])}, but the calls need libkrun {newest}"
        found.append((("target",), what))


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]
