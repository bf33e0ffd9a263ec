"""A plan as hostile input: every finding at once, or operations that may be resolved."""

from __future__ import annotations

from krunc_launcher._rules import COUNTED, ENUMS, ERAS, KINDS, LIMITS, PLAN
from krunc_launcher.errors import PlanRefused, asked_by, shown
from krunc_launcher.plan import arguments as values
from krunc_launcher.plan.rows import ROWS, known
from krunc_launcher.plan.sequence import together
from krunc_launcher.plan.text import fits, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Given, Path

FORMAT: int = PLAN["format"]
_HEAD = ("krunc_plan", "box", "target", "api", "requires", "box_digest", "operations")
_KINDS: list[str] = PLAN["operations"]
_ANY_KIND = frozenset(_KINDS)
_WAIVER = '{"rule": ..., "reason": ...}'
_UNPLANNED = ("context", "length")
_WHATS = {
    "call": "function of libkrun that a plan may call",
    "step": "host step",
    "order": "order that the stage knows",
}


def verify(plan: Any) -> dict[str, Any]:
    """Return PLAN, when all of it may be believed; raises PlanRefused with all findings otherwise.

    Afterwards each operation is known and of the plan's era, its arguments fit the table, and the
    order is one that libkrun means.
    """
    found: Findings = []
    if type(plan) is not dict:
        raise PlanRefused([((), f"found {shown(plan)}; a plan is an object")])
    if plan.get("krunc_plan") != FORMAT or type(plan["krunc_plan"]) is not int:
        version = plan.get("krunc_plan")
        if type(version) is int and version > FORMAT:
            sentence = f"format {version} is newer than this krunc, which knows {FORMAT}; "
            sentence += "update krunc here, or compile the box with this one"
        else:
            sentence = f'this is not a plan: "krunc_plan": {FORMAT} is missing'
        raise PlanRefused([(("krunc_plan",) if "krunc_plan" in plan else (), sentence)])
    _keys(plan, _HEAD, ("labels", "waivers"), (), found)
    if found:
        raise PlanRefused(found)
    _head(plan, found)
    operations, most = plan["operations"], LIMITS["plan_operations"]
    is_list = type(operations) is list and 0 < len(operations) <= most
    if not is_list:
        found.append((("operations",), f"expected a list of 1 to {most} operations"))
    if not is_list or type(plan["api"]) is not str or plan["api"] not in ERAS:
        raise PlanRefused(found)
    given = [
        _operation(row, plan["api"], ("operations", i), found) for i, row in enumerate(operations)
    ]
    if not found and (staged := together(plan, given, found)) is not None:
        from krunc_launcher.plan import orders

        orders.check(operations, given, staged, found)
    if found:
        raise PlanRefused(keyed(plan, found))
    return plan


def keyed(plan: dict[str, Any], found: Findings) -> Findings:
    """Return FOUND with the key of the box behind each sentence on an operation that a key asked
    for."""
    return [(path, sentence + _key(plan["operations"], path)) for path, sentence in found]


def _key(operations: list[Any], path: Path) -> str:
    if len(path) < 2 or type(path[1]) is not int or type(operations[path[1]]) is not dict:
        return ""
    origin = operations[path[1]].get("from")
    if type(origin) is not str or not origin.isprintable() or not origin:
        return ""
    return asked_by(origin[:80])


def _keys(
    row: dict[str, Any], needed: tuple[str, ...], may: tuple[str, ...], path: Path, found: Findings
) -> None:
    for key in row:
        if key not in needed and key not in may:
            allowed = ", ".join((*needed, *may)) or "none"
            found.append(((*path, key), f"the key {shown(key)} is not known; allowed: {allowed}"))
    for key in needed:
        if key not in row:
            found.append((path, f"the key {key} is missing"))


def _head(plan: dict[str, Any], found: Findings) -> None:
    box, version = plan["box"], numbers(plan["target"], KINDS["version"])
    if not fits(box, KINDS["box_name"]):
        found.append((("box",), f"found {shown(box)}; allowed: {KINDS['box_name']['form']}"))
    if version is None:
        found.append((("target",), f"found {shown(plan['target'])}; expected a version"))
    if type(plan["api"]) is not str or plan["api"] not in ERAS:
        found.append((("api",), f"found {shown(plan['api'])}; allowed: {', '.join(ERAS)}"))
    elif version is not None and version[0] != ERAS[plan["api"]]["family"]:
        found.append((("api",), f"{shown(plan['api'])} is not the API of target {plan['target']}"))
    _notes(plan, found)
    if not fits(plan["box_digest"], KINDS["digest"]):
        found.append((("box_digest",), "sha256: and 64 hexadecimal digits are needed"))
    requires = plan["requires"]
    if type(requires) is not dict:
        found.append((("requires",), f"found {shown(requires)}; expected an object"))
        return
    before = len(found)
    _keys(requires, ("libkrun", "features", "because"), (), ("requires",), found)
    if len(found) > before:
        return
    if numbers(requires["libkrun"], KINDS["release"]) is None:
        found.append((("requires", "libkrun"), "expected a version, as in 1.16.0"))
    features = requires["features"]
    if type(features) is not list or not all(
        type(name) is str and name in ENUMS["feature"] for name in features
    ):
        allowed = ", ".join(ENUMS["feature"])
        found.append((("requires", "features"), f"expected a list of: {allowed}"))
    if not _are_texts(requires["because"], {"call", "from"}):
        found.append((("requires", "because"), 'expected a list of {"call": ..., "from": ...}'))


def _notes(plan: dict[str, Any], found: Findings) -> None:
    """Check labels and waivers, which are for reviewers alone. A plan without any has no such key:
    what means the same has one digest."""
    most = LIMITS["plan_notes"]
    rules = {"rule", "reason"}
    for key, fit, what in (
        ("labels", _are_texts([plan.get("labels")]), f"an object of 1 to {most} strings"),
        ("waivers", _are_texts(plan.get("waivers"), rules), f"a list of 1 to {most} {_WAIVER}"),
    ):
        if key in plan and not (fit and 0 < len(plan[key]) <= most):
            found.append(((key,), f"expected {what}"))


def _are_texts(rows: Any, keys: set[str] | None = None) -> bool:
    """Tell whether ROWS is a list of objects of texts, with these KEYS if any are named."""
    return type(rows) is list and all(
        type(row) is dict
        and keys in (None, set(row))
        and all(type(text) is str for text in row.values())
        for row in rows
    )


def _operation(row: Any, era: str, path: Path, found: Findings) -> Given:
    """Check one operation by itself; return its parameters. Usual keys are not walked over."""
    given: Given = []
    if type(row) is not dict:
        found.append((path, f"found {shown(row)}; an operation is an object"))
        return given
    kinds = _ANY_KIND.intersection(row)
    if len(kinds) != 1:
        found.append((path, f"an operation has one of the keys {', '.join(_KINDS)}"))
        return given
    (kind,) = kinds
    origin = row.get("from")
    if type(origin) is not str or not 0 < len(origin) <= 512 or not origin.isprintable():
        where = (*path, "from") if "from" in row else path
        found.append((where, "expected from: a box key of printable characters, or default"))
    name = row[kind]
    if kind == "implicit":
        if row.keys() != {"implicit", "from"}:
            _keys(row, ("implicit", "from"), (), path, found)
        if type(name) is not str:
            found.append(((*path, kind), f"found {shown(name)}; expected a name"))
        return given
    rule = ROWS[kind].get(name) or known(kind, name) if type(name) is str else None
    if rule is None:
        found.append(((*path, kind), f"{shown(name)} is not a {_WHATS[kind]}"))
        return given
    if kind == "call" and not exists(rule, era):
        found.append(((*path, kind), f"{name} is not in {ERAS[era]['name']}"))
        return given
    params = [param for param in rule["params"] if param["kind"] not in _UNPLANNED]
    if len(row) != (3 if params else 2) or (params and "args" not in row):
        warn = ("on_failure",) if rule.get("role") == "log" else ()
        _keys(row, (kind, "args", "from") if params else (kind, "from"), warn, path, found)
        if row.get("on_failure", "warn") != "warn":
            found.append(((*path, "on_failure"), 'allowed: "warn"'))
    args, where = row.get("args", {}), (*path, "args")
    if type(args) is not dict:
        found.append((where, f"found {shown(args)}; expected an object"))
        return given
    for param in params:
        if param["name"] in args:
            given.append((param, args[param["name"]]))
    if len(args) != len(params) or len(given) != len(params):
        _keys(args, tuple(param["name"] for param in params), (), where, found)
    before = len(found)
    for param, value in given:
        values.check(value, param, (*where, param["name"]), found)
    if "one_of" in rule and len(found) == before and len(given) == len(params):
        chosen = [name for name in rule["one_of"] if args[name] not in (None, "none")]
        if len(chosen) != 1:
            found.append((where, f"expected exactly one of {' and '.join(rule['one_of'])}"))
    for param, value in given if name in COUNTED else ():
        if "count" in param and len(found) == before and value is not None:
            values.counted(args, param, (*where, param["name"]), found)
    return given


def exists(rule: dict[str, Any], era: str) -> bool:
    """Tell whether a function is in ERA at all."""
    flat = ERAS[era]["family"] == 2
    if flat:
        return "removed" not in rule
    return bool(rule["since"] != ERAS["v2_flat"]["first"])
