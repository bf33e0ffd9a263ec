"""The order of a plan around its confinement: whatever could escape it stands on the other side."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from places import ROOT
from refusals import refusals

PLANS = sorted((ROOT / "boxes").glob("*.plan.json"))
CONFINED = [path for path in PLANS if '"confine"' in path.read_text()]


@pytest.mark.parametrize("path", CONFINED, ids=lambda path: path.stem)
def test_nothing_that_acts_moves_behind_the_confinement(path: Path) -> None:
    plan = json.loads(path.read_text())
    rows = plan["operations"]
    (at,) = [i for i, row in enumerate(rows) if row.get("step") == "confine"]
    assert refusals(plan) == []
    for i, row in enumerate(rows[:at]):
        if "implicit" in row:
            continue
        moved = [*rows[:i], *rows[i + 1 : at + 1], row, *rows[at + 1 :]]
        name = next(row[kind] for kind in ("call", "step", "order") if kind in row)
        found = refusals({**plan, "operations": moved})
        assert any(f"{name} is before" in said for said in found), (name, found)


def test_no_thread_is_started_before_the_confinement(tmp_path: Path) -> None:
    """In whatever order the last steps and notes stand."""
    box = "krunc: 1\nname: a\nrootfs: {path: ./r}\nnetwork: {mode: none}\n"
    (tmp_path / "a.yaml").write_text(box + "entrypoint: {executable: /bin/true}\n")
    assert main(["compile", str(tmp_path / "a.yaml")]) == 0
    plan = json.loads((tmp_path / "a.plan.json").read_text())
    rows = plan["operations"]
    (at,) = [i for i, row in enumerate(rows) if row.get("step") == "confine"]
    tail = rows[at:-1]
    assert {row.get("step") for row in tail} >= {"confine", "stop_on_sigterm"}
    for order in itertools.islice(itertools.permutations(tail), 0, None, 7):
        steps = [row["step"] for row in order if "step" in row]
        found = refusals({**plan, "operations": [*rows[:at], *order, rows[-1]]})
        free = "stop_on_sigterm is behind confine, or the thread that it starts is not confined"
        assert found == ([] if steps == ["confine", "stop_on_sigterm"] else [free]), steps


def test_without_confinement_there_is_none_to_escape(tmp_path: Path) -> None:
    box = "krunc: 1\nname: a\nrootfs: {path: ./r}\nnetwork: {mode: none}\nconfine: off\n"
    (tmp_path / "a.yaml").write_text(box + "entrypoint: {executable: /bin/true}\n")
    assert main(["compile", str(tmp_path / "a.yaml")]) == 0
    assert refusals(json.loads((tmp_path / "a.plan.json").read_text())) == []
