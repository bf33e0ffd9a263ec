"""Every file in bad/ is refused with the words in the file beside it, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from golden import agree
from places import BAD
from processes import PATIENCE


def target_of(box: Path) -> str:
    """The target named on the first line of a bad box, or the default."""
    first = box.read_bytes().partition(b"\n")[0].decode("utf-8", "replace")
    return first.removeprefix("# target: ") if first.startswith("# target: ") else "1"


@pytest.mark.parametrize("box", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_refusal(box: Path, tmp_path: Path, update_golden: bool) -> None:
    copy = tmp_path / box.name
    copy.write_bytes(box.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "compile", box.name, "--target", target_of(box)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == [box.name]
    assert f"{box.name}:" in done.stderr
    agree(box.with_suffix(".stderr"), done.stderr, update_golden)
