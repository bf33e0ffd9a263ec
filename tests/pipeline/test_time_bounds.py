"""No box of a page takes long, valid or wrong, however many boxes its matrix makes, and no report
of what is wrong is longer than anybody reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.findings.report import MOST

# Of the processor's time outside of the system; the slowest of these takes half of it.
_SECONDS = 5
_PAGE = 10_000


def box(
    rest: str, root: str = "{path: ./rootfs}", network: str = "{mode: none}", to: int = 1000
) -> str:
    return (
        f'krunc: 1\nname: "w-{{{{ a }}}}"\nmatrix: {{a: {{from: 1, to: {to}}}}}\n'
        f"rootfs: {root}\nnetwork: {network}\n{rest}\n"
    )


def program(more: str) -> str:
    return f"entrypoint: {{executable: /x, {more}}}"


def many(count: int, item: str) -> str:
    """A list of COUNT items, each with its own number in place of #."""
    return "[" + ", ".join(item.replace("#", str(i)) for i in range(1, count + 1)) + "]"


WRONG = "machine: {cpus: 0, memory: 1, memroy: 2, foo: 3}\n"
ONES, WORDS = many(900, "1"), many(125, "a#")
FEW = many(91, "1")
NUMBERS, FAILING = many(95, '"{{ a|int + # }}"'), many(95, '"{{ b|int + # }}"')
TEXTS, OVERLAYS = many(95, '"x{{ a|int + # }}"'), many(40, "{path: f#, file: ./s#/x}")
PORTS = many(99, '"1#:2#"')
SOCKETS = many(33, '{port: #, socket: "./s#/{{ a }}", listen: true}')
SECRETS = ", ".join(f"A{i}: {{from_file: ./rootfs/a}}" for i in range(60))
# Boxes, and what is said of them: nothing when they are valid.
BOXES = {
    "each argument is wrong": (box(WRONG + program(f"args: {ONES}")), "KR024"),
    "all of few arguments are wrong": (box(WRONG + program(f"args: {FEW}")), "KR103"),
    "one value is wrong": (box("machine: {cpus: 0}\n" + program(f"args: {WORDS}")), "KR104"),
    "expressions are wrong": (box(program(f"args: {NUMBERS}")), "KR103"),
    "expressions fail": (box(program(f"args: {FAILING}")), "KR020"),
    "expressions": (box(program(f"args: {TEXTS}")), ""),
    "too many values": (box(f"vsock: {SOCKETS}\n" + program(f"args: {WORDS}")), "KR024"),
    "overlay files": (
        box(program("args: []"), f"{{path: ./rootfs, overlay: {OVERLAYS}}}"),
        "",
    ),
    "ports": (box(program("args: []"), network=f"{{mode: tsi, ports: {PORTS}}}"), ""),
    "sockets": (box(f"vsock: {SOCKETS}\n" + program("args: []")), ""),
    "secrets that the guest writes": (box(program(f"env: {{{SECRETS}}}")), "KR615"),
    "a long script": (box('entrypoint: {script: "' + "echo hello; " * 800 + '"}'), ""),
    "tags twice": (box("shares: " + many(20, "{tag: t, path: ./a}")), "KR2"),
}


@pytest.mark.parametrize("name", BOXES)
def test_a_matrix_of_a_thousand(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = BOXES[name]
    assert len(text) < _PAGE
    path = tmp_path / "box.yaml"
    path.write_text(text)
    before = os.times().user
    status = main(["compile", "-o", str(tmp_path), str(path)])
    assert os.times().user - before < _SECONDS
    told = capsys.readouterr().err
    assert said in told
    assert (status == 0) == (not [line for line in told.splitlines() if ": error[" in line])
    assert len(told) < 1_000 * MOST


def test_boxes_that_were_not_looked_at_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.yaml"
    path.write_text(BOXES["all of few arguments are wrong"][0])
    assert main(["compile", "--format", "json", str(path)]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    # Four of the machine and 91 of the arguments, in each of 22 boxes.
    assert len(findings) == 95 + 1
    left = [one["message"] for one in findings if one["code"] == "KR024"]
    assert left == ["978 of 1,000 boxes were not looked at, since so much is wrong in the others"]
    alike = next(one for one in findings if one["code"] == "KR101")
    assert "in the box" not in alike["message"]


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, 3_000])
def test_a_report_ends(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.yaml"
    keys = "".join(f"k{i}: 1\n" for i in range(count))
    path.write_text("krunc: 1\nname: web\nrootfs: {path: .}\nnetwork: {mode: none}\n"
                    "entrypoint: {executable: /x}\n" + keys)  # fmt: skip
    assert main(["compile", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.count(": error[KR101]") == min(count, MOST)
    assert told.splitlines()[-1] == (
        f"krunc: {count:,} error{'s' * (count > 1)}"
        + f"; these are the first {MOST}" * (count > MOST)
    )
    assert main(["compile", "--format", "json", str(path)]) == 1
    assert len(json.loads(capsys.readouterr().out)["findings"]) == count
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.count(": error[KR101]") == min(count, MOST)
