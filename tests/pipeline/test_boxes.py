"""Every example box: its committed plan, its family-2 plan and its review are what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import agree
from krunc_compiler.__main__ import main
from places import GOLDEN, ROOT

BOXES = sorted((ROOT / "boxes").glob("*.yaml"))


def test_there_are_boxes() -> None:
    assert len(BOXES) >= 5


def test_committed_plans_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--check", str(ROOT / "boxes")]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("box", BOXES, ids=lambda path: path.stem)
def test_family_2_plan(box: Path, capsys: pytest.CaptureFixture[str], update_golden: bool) -> None:
    assert main(["compile", str(box), "--target", "2", "-o", "-"]) == 0
    agree(GOLDEN / f"{box.stem}.family2.plan.json", capsys.readouterr().out, update_golden)


@pytest.mark.parametrize("box", BOXES, ids=lambda path: path.stem)
def test_review(box: Path, capsys: pytest.CaptureFixture[str], update_golden: bool) -> None:
    assert main(["show", str(box.with_suffix(".plan.json"))]) == 0
    shown = capsys.readouterr().out
    agree(GOLDEN / f"{box.stem}.show.txt", shown, update_golden)
    assert main(["show", str(box)]) == 0
    assert capsys.readouterr().out == shown, "a box and its plan are shown alike"


@pytest.mark.parametrize("box", BOXES, ids=lambda path: path.stem)
def test_each_box_says_what_it_is_for(box: Path) -> None:
    comment = [line for line in box.read_text("utf-8").splitlines() if line.startswith("# ")]
    assert len(comment) > 3
