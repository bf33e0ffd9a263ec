"""The box of many of the benchmarks compiles without a finding, so that what is timed is compiling;
and what pairs of measurements are said to tell, they tell."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from places import ROOT

BENCH = ROOT / "bench"
sys.path.insert(0, str(BENCH))
from paired import Pairs  # noqa: E402


def test_the_box_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (BENCH / "box.yaml").read_text().replace("NUMBER", "7").replace("PORT", "80")
    Path("boxes").mkdir()
    Path("boxes/box.yaml").write_text(text)
    Path("plans").mkdir()
    for option in ([], ["--check"]):
        assert main(["compile", "boxes", "-o", "plans", "--warnings-as-errors", *option]) == 0
    assert "warning" not in capsys.readouterr().err


def pairs(more: float, noise: float, count: int = 30, most: float = 3) -> Pairs:
    """Pairs of a machine that does other work: it is in both of a pair, and a bit of NOISE in
    each."""
    chance = random.Random(1)
    found = []
    for _ in range(count):
        work = chance.uniform(5, 15)
        found.append(
            (work + chance.gauss(0, noise), work + 10 * more / 100 + chance.gauss(0, noise))
        )
    return Pairs("boot", "s", found, most, True)


@pytest.mark.parametrize(
    ("more", "noise", "verdict"),
    [
        (0, 0.01, "met"), (2, 0.01, "met"), (9, 0.01, "**missed**"), (3, 0.5, "undecided"),
        (0, 2, "undecided"), (9, 2, "undecided"), (-20, 0.1, "met"),
    ],
)  # fmt: skip
def test_a_verdict_is_where_the_interval_lies(more: float, noise: float, verdict: str) -> None:
    found = pairs(more, noise)
    assert found.verdict() == verdict, found.interval()
    low, high = found.interval()
    assert low <= found.more(found.pairs) <= high


def test_the_same_pairs_tell_the_same() -> None:
    assert pairs(2, 0.5).row() == pairs(2, 0.5).row()


def test_more_pairs_tell_more() -> None:
    few, many = (pairs(2, 1, count).interval() for count in (5, 500))
    assert many[1] - many[0] < (few[1] - few[0]) / 3


def test_one_that_is_counted_is_exact() -> None:
    assert Pairs("launch", "M", [(50.0, 54.0)], 3, True, True).row() == (
        "| launch | 50.00 M | 54.00 M | +8.0% | exact | 3% | **missed** |"
    )
    assert Pairs("memory", "MB", [(16.0, 16.2)], 0.3, False, True).row() == (
        "| memory | 16.00 MB | 16.20 MB | +0.2 MB | exact | 0.3 MB | met |"
    )


def test_few_pairs_decide_nothing() -> None:
    for more in (-20, 20):
        assert pairs(more, 0.01, 5).verdict() == "undecided"
        assert pairs(more, 0.01, 6).verdict() != "undecided"
