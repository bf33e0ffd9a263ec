"""What is said of many boxes is told once, with the places; formats for machines have it all."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Finding, Located, Place, Source, Span
from krunc_compiler.findings.formats import FORMS, formatted
from krunc_compiler.findings.report import MOST, report

WARNED = """\
krunc: 1
name: {name}
rootfs: {{path: ./rootfs-{name}}}
network: {{mode: none}}
machine: {{cpus: 1, memory: 64MiB}}
entrypoint: {{executable: /bin/a -f}}
"""
BASE = Finding("KR618", "it is odd", ("a", 1), "do this")
# One difference from BASE each: none of them is told together with it.
OTHERS = {
    "another code": BASE._replace(code="KR602"),
    "an error": BASE._replace(code="KR101"),
    "waived": BASE._replace(code="KR101", waived=True),
    "another message": BASE._replace(message="it is odd."),
    "another key": BASE._replace(path=("a", 2)),
    "a key above": BASE._replace(path=("a",)),
    "no key": BASE._replace(path=()),
    "another way out": BASE._replace(hint="do that"),
    "no way out": BASE._replace(hint=""),
}


def at(name: str, finding: Finding, line: int = 2) -> Located:
    """FINDING in the file NAME."""
    return Located(Source(name, "x\n" * 9, {(): Place(Span(line, 0, line, 1))}), finding)


def test_boxes_that_are_alike_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(200):
        Path(f"b{number:03}.yaml").write_text(WARNED.format(name=f"b{number:03}"))
    for verb in (["compile", "-q"], ["check"]):
        assert main([*verb, "."], refusals) == 0
        err = "".join(capsys.readouterr())
        assert err.count("warning[KR618]") == 1
        others = ", ".join(f"b{number:03}.yaml:6:26" for number in range(1, 9))
        assert f"\n    = the same in {others} and 191 more\n" in err
        assert "200 warnings" in err
        assert main([*verb, ".", "--format", "json"], refusals) == 0
        out, _ = capsys.readouterr()
        found = json.loads(out)["findings"]
        assert len({one["file"] for one in found if one["code"] == "KR618"}) == 200


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_differs_is_told_by_itself(other: Finding) -> None:
    told = report([at("a", BASE), at("b", other), at("c", BASE), at("d", other)])
    assert told.count("[KR") == 2
    assert "    = the same in c:3:1\n" in told
    assert "    = the same in d:3:1\n" in told


@pytest.mark.parametrize(("count", "said"), [
    (1, None), (2, "b1:3:1"), (3, "b1:3:1, b2:3:1"),
    (9, ", ".join(f"b{n}:3:1" for n in range(1, 9))),
    (10, ", ".join(f"b{n}:3:1" for n in range(1, 9)) + " and 1 more"),
    (5009, "b1:3:1, b10:3:1, b100:3:1, b1000:3:1, b1001:3:1, b1002:3:1, b1003:3:1, b1004:3:1"
           " and 5,000 more"),
])  # fmt: skip
def test_so_many_places_are_named(count: int, said: str | None) -> None:
    told = report([at(f"b{number}", BASE) for number in range(count)])
    assert told.count("[KR618]") == 1
    if said is None:
        assert "the same" not in told
    else:
        assert f"    = the same in {said}" in told


def test_lines_of_one_file_are_places() -> None:
    told = report([at("a", BASE, line) for line in (5, 2, 4)])
    assert told.startswith("a:3:1: warning")
    assert "    = the same in a:5:1, a:6:1\n" in told


def test_a_place_may_have_no_line_and_any_name() -> None:
    told = report([at("a", BASE), Located(Source("b\n\x1b[2J" + "c" * 9999, "", {}), BASE)])
    assert "\n    = the same in b\\x0a\\x1b[2Jccc" in told
    assert len(told) < 4000


def test_the_first_of_many_count_what_is_told_with_them() -> None:
    many = [
        at(f"{name}{number:04}", BASE._replace(message=f"{number}"))
        for number in range(MOST + 5)
        for name in "ab"
    ]
    told = report(many)
    assert told.count("warning[") == MOST
    assert told.endswith(f"krunc: {2 * MOST + 10} warnings; these are the first {2 * MOST}\n")


@pytest.mark.parametrize("form", [form for form in FORMS if form != "text"])
def test_formats_for_machines_have_each(form: str) -> None:
    told = formatted([at(f"b{number}.yaml", BASE) for number in range(300)], form)
    assert all(f"b{number}.yaml" in told for number in range(300))


def test_ten_times_as_many_take_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        some = [at(f"b{number}", BASE) for number in range(count)]
        before = time.process_time()
        report(some)
        return time.process_time() - before

    seconds(100)
    assert min(seconds(20_000) for _ in range(3)) < 40 * min(seconds(2_000) for _ in range(3))
