"""The launcher judges the review: what it would give to a changed plan, and did not give to the old
one, is never called neutral. Each reads plans with code of its own."""

from __future__ import annotations

import copy
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.plan import moved, to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.difference import compare
from krunc_compiler.review.summary import review
from krunc_launcher._rules import ENUMS, FLAGS
from krunc_launcher.errors import PlanRefused
from krunc_launcher.paths import Directories
from krunc_launcher.plan.rows import ROWS, kind_of, known
from krunc_launcher.plan.verify import verify
from krunc_launcher.resolve.operation import Operation
from krunc_launcher.resolve.resolve import resolve
from krunc_launcher.text.reading import parse
from krunc_launcher.vm import confine
from places import ROOT
from whole_boxes import WHOLE, compiled

# More by hand: KRUNC_MUTANTS=25000 pytest tests/review/test_review_launcher.py
MUTANTS = int(os.environ.get("KRUNC_MUTANTS", "1200"))
# What libkrun writes to, of calls that cannot say read_only.
WRITES = {
    "krun_set_root", "krun_add_virtiofs", "krun_add_virtiofs2", "krun_set_root_disk",
    "krun_set_data_disk", "krun_set_console_output", "open_file",
}  # fmt: skip
# What libkrun gives where a call is absent.
OF_ITSELF = {
    "vsock_with_tsi": "TSI",
    "all_guest_ports_published": "all ports",
}


def plans() -> list[dict[str, Any]]:
    """Plans that together have nearly every operation."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("boxes/*.plan.json"))]
    for box in WHOLE.values():
        for target in ("1", "2"):
            try:
                found.append(json.loads(to_text(compiled(box, target))))
            except Rejected:
                continue  # it is for the other family
    return found


Grants = dict[tuple[str, str], int]


def of_the_run(base: str, box: str) -> Directories:
    """Where the paths of a plan start; the directory of one launch is the same for each."""
    directories = Directories(base, f"/run/krunc/{box}")
    directories.launch = "/run/krunc/launch"
    return directories


def granted(plan: dict[str, Any], base: str = "/base") -> Grants:
    """What the launcher gives to the VM of PLAN: bits or a number, by what they are for."""
    directories = of_the_run(base, plan["box"])
    done, wrong = resolve(verify(plan), directories, None)
    assert not wrong, wrong
    rights: Grants = defaultdict(int)
    modes = [one.values[0].c for one in done if one.name == "confine"]
    rights["unconfined", ""] = {"required": 0, "best-effort": 1}[modes[0]] if modes else 3
    if modes:
        for path, bits in confine.needed(done, directories):
            rights["landlock", path] |= bits & confine._RIGHTS[5]
    for one in done:
        if one.name in OF_ITSELF or confine.hijacks(one):
            rights[OF_ITSELF.get(one.name, "TSI"), ""] = 1
        if one.name == "console_on_stdio":
            rights |= dict.fromkeys((("stdio", str(number)) for number in range(3)), 1)
        if one.kind != "implicit" and not one.name.startswith("require_"):
            _given(one, rights)
    return rights


# What the guest runs or is configured by, whole.
RUNS = ("krun_set_exec", "krun_set_env", "krun_set_workdir", "krun_set_rlimits", "krun_set_kernel", "krun_set_root_disk_remount")  # fmt: skip


def found(plan: dict[str, Any], base: str = "/base") -> dict[tuple[str, Any], str]:
    """What the guest finds under which name: disks and networks by their order, shares by their
    tags, files that are laid over them; and what it runs."""
    done, wrong = resolve(verify(plan), of_the_run(base, plan["box"]), None)
    assert not wrong, wrong
    names: dict[tuple[str, Any], str] = {}
    staged = any(one.name == "lay_stage" for one in done)
    counts: dict[str, int] = defaultdict(int)
    for one in done:
        if one.kind != "call":
            continue
        rules = ROWS["call"][one.name]["params"]
        named = {rule["name"]: value for rule, value in zip(rules, one.values, strict=True)}
        for rule in rules:
            if rule.get("target") == "disk":
                names["disk", counts["disk"]] = str(named[rule["name"]])
                counts["disk"] += 1
        if one.name.startswith("krun_add_net_"):
            names["network", counts["network"]] = _told(named.values())
            counts["network"] += 1
        if "tag" in named and "path" in named:
            names["share", named["tag"]] = str(named["path"])
        if "fs_tag" in named:
            names["overlay", (named["fs_tag"], named["path"])] = _told(named.values())
        # The stage starts in /, as libkrun does where nothing is said.
        of_the_stage = staged and one.name == "krun_set_workdir"
        if one.name in RUNS and not of_the_stage:
            names["run", one.name] = _told(named.values())
    return names


def _told(values: Iterable[Any]) -> str:
    """VALUES of the launcher as a text: its classes have no equality."""
    return repr([_plain(value) for value in values])


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    slots = getattr(type(value), "__slots__", None)
    if slots and not isinstance(value, str | bytes | int):
        return [_plain(getattr(value, slot)) for slot in slots if slot != "_directories"]
    return value


def _given(one: Operation, rights: Grants) -> None:
    rules = one.rule["params"]
    named = {rule["name"]: value for rule, value in zip(rules, one.values, strict=True)}
    for rule in rules:
        value = named[rule["name"]]
        match rule["kind"]:
            case "host_path" | "socket_path" if value is not None:
                rights["path", value] |= 1
                if one.name in WRITES or named.get("read_only") is False:
                    rights["path", value] |= 2
            case "fd" if type(value) is int and value > 2:
                rights["descriptor", str(value)] = 1
            # libkrun's log goes to the launcher's stderr in nearly every plan.
            case "fd" if type(value) is int and value >= 0 and "console" in one.name:
                rights["stdio", str(value)] = 1
            case "bytes" if value is not None and value.path:
                rights["path", value.path] |= 1
            case "env":
                for variable in value:
                    if variable.secret:
                        rights["secret", variable.secret] = 1
            case "port_map" | "texts" if rule["name"] in ("port_map", "mapped_volumes"):
                for item in value:
                    rights[rule["name"], item] = 1
    for name in ("num_vcpus", "ram_mib", "tap_name"):
        if name in named:
            number = named[name]
            rights[name, number if type(number) is str else ""] = (
                1 if type(number) is str else number
            )


def more(old: Grants, new: Grants) -> set[tuple[str, str]]:
    """What NEW has beyond OLD: bits, or a larger number."""
    numbers = ("num_vcpus", "ram_mib")
    return {
        key
        for key, right in new.items()
        if (right > old.get(key, 0) if key[0] in numbers else right & ~old.get(key, 0))
    }


def others(rule: dict[str, Any], dice: random.Random) -> Any:
    """Another argument for a parameter."""
    paths = ["/", "/etc", "a", "./a", "runtime:a", "./runtime:a", "a/../b", "rootfs", "new"]
    match rule["kind"]:
        case "bool":
            return dice.choice([True, False])
        case "int":
            return dice.choice([rule["min"], rule["max"], 1, 2, 4096, 1 << 30])
        case "host_path" | "socket_path":
            return dice.choice(paths)
        case "fd":
            return dice.choice([*rule["named"], 7, 8])
        case "enum":
            return dice.choice(list(ENUMS[rule["enum"]]))
        case "flags":
            return dice.choice([[], [dice.choice(rule.get("only") or list(FLAGS[rule["flags"]]))]])
        case "env":
            return dice.choice([{}, {"A": {"from_env": "B"}}, {"A": {"from_file": "a"}}])
        case "port_map":
            return dice.choice([[], ["1:1"], ["1:1", "2:2"]])
        case "bytes":
            return dice.choice([{"file": "a"}, {"text": "x"}])
        case _:
            return None


def changed(plan: dict[str, Any], all_plans: list[dict[str, Any]], dice: random.Random) -> Any:
    """PLAN with one to three operations changed, taken away, doubled or taken from another plan."""
    value = copy.deepcopy(plan)
    rows = value["operations"]
    for _ in range(dice.choice((1, 1, 2, 3))):
        place = dice.randrange(len(rows))
        row = rows[place]
        kind = dice.random()
        if kind < 0.6 and "args" in row and row["args"]:
            name = dice.choice(list(row["args"]))
            rules = known(kind_of(row), row[kind_of(row)])
            assert rules is not None
            rule = next(one for one in rules["params"] if one["name"] == name)
            row["args"][name] = others(rule, dice)
        elif kind < 0.75:
            del rows[place]
        elif kind < 0.85:
            rows.insert(place, copy.deepcopy(dice.choice(dice.choice(all_plans)["operations"])))
        elif kind < 0.87:
            other = dice.randrange(len(rows))
            rows[place], rows[other] = rows[other], rows[place]
        elif kind < 0.89:
            for one in {"tag", "fs_tag", "block_id"} & set(row.get("args", {})):
                row["args"][one] = "renamed"
        elif kind < 0.91:
            value["box"] = dice.choice(["one", "two"])
        else:
            twin = copy.deepcopy(row)
            for one in ("path", "tag", "name", "block_id"):
                if one in twin.get("args", {}):
                    twin["args"][one] = "new"
            rows.insert(place + 1, twin)
        if not rows:
            break
    return _honest(value)


def _honest(value: dict[str, Any]) -> dict[str, Any]:
    """VALUE with the implicit operations that its calls imply: the launcher wants no others."""
    rows = value["operations"]
    calls = [(row["call"], row.get("args", {})) for row in rows if "call" in row]
    implied = [{"implicit": name, "from": "default"} for name in api.implied(value["api"], calls)]
    rest = [row for row in rows if "implicit" not in row]
    return {**value, "operations": [*rest[:-1], *implied, *rest[-1:]]}


def taken(value: dict[str, Any]) -> bool:
    """Whether the launcher takes the plan and can resolve it."""
    try:
        plan = verify(parse(json.dumps(value)))
    except PlanRefused:
        return False
    return not resolve(plan, Directories("/base", "/run/krunc/x"), None)[1]


@pytest.mark.parametrize("seed", range(2))
def test_what_the_launcher_gives_opens(seed: int) -> None:
    dice = random.Random(seed)
    all_plans = plans()
    judged = opened = 0
    for _ in range(MUTANTS):
        old = dice.choice(all_plans)
        new = changed(old, all_plans, dice)
        if not taken(new):
            continue
        judged += 1
        gained = more(granted(old), granted(new))
        one, two = (review(read_plan("p", json.dumps(value))) for value in (old, new))
        difference = compare(one, two)
        assert bool(difference.changes) == (one.digest != two.digest)
        if gained:
            opened += 1
            assert difference.of("widens"), (gained, [row for row in new["operations"] if row not in old["operations"]])  # fmt: skip
        if found(old) != found(new):
            told = [change for change in difference.changes if change.effect != "neutral"]
            assert told, (found(old), found(new))
    assert judged > MUTANTS // 10
    assert opened > MUTANTS // 40


def test_a_plan_that_moved_opens_what_its_paths_now_name() -> None:
    """Relative paths start at the directory of the plan."""
    for plan in plans():
        gained = more(granted(plan, "/base/a"), granted(plan, "/base/b"))
        one, two = (moved(read_plan("p", json.dumps(plan)), way) for way in ("a", "b"))
        if gained:
            assert compare(review(one), review(two)).of("widens"), plan["box"]


def test_every_order_of_the_operations_is_refused_or_judged() -> None:
    """Two operations change places in each plan that the launcher takes so."""
    taken_so = 0
    for plan in plans():
        rows = plan["operations"]
        old = granted(plan)
        for place in range(len(rows) - 1):
            swapped = [*rows[:place], rows[place + 1], rows[place], *rows[place + 2 :]]
            new = {**plan, "operations": swapped}
            if not taken(new):
                continue
            taken_so += 1
            one, two = (review(read_plan("p", json.dumps(value))) for value in (plan, new))
            difference = compare(one, two)
            if more(old, granted(new)):
                assert difference.of("widens"), rows[place]
            steps = {row.get("step") for row in rows[place : place + 2]}
            if found(plan) != found(new) or steps <= api.actions():
                told = [change for change in difference.changes if change.effect != "neutral"]
                assert told, rows[place]
    assert taken_so > 100
