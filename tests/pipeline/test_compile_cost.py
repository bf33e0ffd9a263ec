"""What a box costs, in calls of functions: of many boxes, all but their parsing is Python. One box
alone is mostly imports, and counted in instructions. Neither depends on what else the machine does."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest
from instructions_of import counted as with_valgrind
from instructions_of import executed
from krunc_compiler.__main__ import main
from places import ROOT

SHORT = """\
krunc: 1
name: box-NUMBER
rootfs: {path: ./rootfs}
network: {mode: tsi, ports: ["PORT:80"]}
entrypoint: {executable: /bin/httpd}
"""
# A fiftieth more than was counted. The standard library's own calls differ between versions.
CEILINGS = {"long": 3380, "short": 1585}
# Multiples of a Python that does nothing; also a fiftieth more than was counted.
ONE = {"plain": 5.86, "with an expression": 9.94}


def counted(*command: str) -> int:
    """How many functions COMMAND calls, of Python and of C."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        assert main([*command]) == 0
    finally:
        sys.setprofile(before)
    return calls


def boxes(directory: Path, text: str, count: int) -> None:
    directory.mkdir()
    for n in range(count):
        (directory / f"box-{n:02}.yaml").write_text(
            text.replace("NUMBER", str(n)).replace("PORT", str(n + 1))
        )


of_this_python = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the counts are of CPython 3.11"
)


@of_this_python
@pytest.mark.parametrize("name", CEILINGS)
def test_calls_for_a_box(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is new in a box that asks for nothing new has to cost next to nothing. Where this
    fails, see what walks the whole box or plan for it, and for which boxes it is needed."""
    monkeypatch.chdir(tmp_path)
    text = {"long": (ROOT / "bench/box.yaml").read_text(), "short": SHORT}[name]
    few, many = 10, 50
    calls = []
    for count in (few, many):
        boxes(tmp_path / f"boxes-{count}", text, count)
        command = ("compile", f"boxes-{count}", "-o", f"plans-{count}/")
        # The first runs import, and make what is made once of the tables.
        assert main([*command]) == 0
        assert main([*command, "--check"]) == 0
        calls.append(counted(*command, "--check"))
    capsys.readouterr()
    each = (calls[1] - calls[0]) / (many - few)
    print(each)
    assert each < CEILINGS[name]


@of_this_python
@with_valgrind
def test_instructions_of_one_compile(tmp_path: Path) -> None:
    """Where this fails, see with -X importtime what is imported, and whether each box needs it."""
    text = SHORT.replace("NUMBER", "1")
    (tmp_path / "plain.yaml").write_text(text.replace("PORT", "8080"))
    templated = text.replace("PORT", "{{ port }}") + "vars: {port: 8080}\n"
    (tmp_path / "with an expression.yaml").write_text(templated)
    compiling = [sys.executable, "-I", "-c", "from krunc import run; run()", "compile"]
    bare = executed(tmp_path, sys.executable, "-I", "-c", "pass")
    found = {name: executed(tmp_path, *compiling, f"{name}.yaml") / bare for name in ONE}
    print(found)
    assert {name: many for name, many in found.items() if many >= ONE[name]} == {}
