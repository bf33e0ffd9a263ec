"""What is made: the header of the table, and the programs of the sources."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from places import ROOT
from stage.build import HERE, MACHINES, PROGRAMS, TABLE, build, header


def test_the_header_is_that_of_the_table() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    assert (HERE / "orders.h").read_text("utf-8") == header(table), "python launcher/stage/build.py"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_programs_are_those_of_the_sources(machine: str, tmp_path: Path) -> None:
    """The same bytes wherever they are built: here, in another directory."""
    (pinned,) = (
        line for line in (ROOT / "pyproject.toml").read_text().split('"') if "ziglang" in line
    )
    assert pinned == f"ziglang=={version('ziglang')}"
    build(machine, tmp_path / machine)
    made = (tmp_path / machine).read_bytes()
    assert made == (PROGRAMS / machine).read_bytes(), "python launcher/stage/build.py"
    assert len(made) < 64 * 1024
    assert str(ROOT).encode() not in made
