"""The box of many of the benchmarks compiles without a finding, so that what is timed is compiling."""

from __future__ import annotations

from pathlib import Path

import pytest
from krunc_compiler.__main__ import main

BENCH = Path(__file__).parents[2] / "bench"


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
