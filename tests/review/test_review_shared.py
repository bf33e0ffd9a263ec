"""What is worked out once for many plans is what is worked out for each alone."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.many import Rows
from krunc_compiler.plan.plan import Plan, to_text
from krunc_compiler.plan.reading import plan_of_value, read_plan
from krunc_compiler.review import difference, matching, pairing
from krunc_compiler.review.summary import review
from places import ROOT

PLANS = [json.loads(path.read_text()) for path in sorted(ROOT.glob("boxes/*.plan.json"))]


def changed(value: dict[str, Any], dice: random.Random) -> Plan:
    """VALUE with operations of other plans, without some, in another order, or with other paths."""
    value = copy.deepcopy(value)
    rows: list[dict[str, Any]] = value["operations"]
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(rows))
        match dice.randrange(5):
            case 0:
                rows.insert(place, dice.choice(dice.choice(PLANS)["operations"]))
            case 1:
                del rows[place]
            case 2:
                other = dice.randrange(len(rows))
                rows[place], rows[other] = rows[other], rows[place]
            case 3:
                value["box"] = dice.choice(["one", "two"])
            case _:
                for row in rows:
                    args = row.get("args", {})
                    for name in {"path", "root_path", "disk_path", "filepath"} & set(args):
                        args[name] = dice.choice([args[name], "other", "../up", "/run/x"])
    return plan_of_value(value)


@pytest.mark.parametrize("seed", range(10))
def test_operations_that_many_plans_have(seed: int) -> None:
    dice = random.Random(seed)
    rows = Rows()
    for _ in range(60):
        text = to_text(changed(dice.choice(PLANS), dice))
        try:
            alone = read_plan("a.plan.json", text)
        except Rejected:
            continue
        assert review(rows.read("a.plan.json", text)) == review(alone)


@pytest.mark.parametrize("seed", range(10))
def test_plans_in_step_are_compared_as_others(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    value = dice.choice(PLANS)
    pairs = [(review(changed(value, dice)), review(changed(value, dice))) for _ in range(30)]
    quick = [difference.compare(old, new) for old, new in pairs]
    monkeypatch.setattr(matching, "_in_step", lambda old, new: False)
    monkeypatch.setattr(pairing, "_in_step", lambda sides: False)
    for pair, found in zip(pairs, quick, strict=True):
        assert difference.compare(*pair) == found
