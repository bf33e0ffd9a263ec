"""krunc check of boxes and plans in different directories, and of plans as git has them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.pipeline.existing import way
from reviews import BOX

MATRIX = {**BOX, "name": "m-{{ n }}", "matrix": {"n": [1, 2]}}
ROW = {**MATRIX, "matrix": {"n": [1, 2, 3]}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    way.cache_clear()  # one run has one working directory; where another test was, plans was a link
    for name, box in (("m", MATRIX), ("one", BOX)):
        box_file(name, box)
    assert main(["compile", "boxes", "-o", "plans/"]) == 0


def box_file(name: str, box: object, directory: str = "boxes") -> None:
    Path(directory).mkdir(exist_ok=True)
    Path(directory, f"{name}.yaml").write_text(json.dumps(box))


def found(capsys: pytest.CaptureFixture[str], *paths: str) -> list[tuple[str, str]]:
    capsys.readouterr()
    status = main(["check", *paths, "--format", "json"])
    rows = json.loads(capsys.readouterr().out)["findings"]
    assert status == any(row["level"] == "error" for row in rows)
    return [(row["code"], row["file"]) for row in rows]


@pytest.mark.parametrize("paths", [[], ["boxes", "plans"], ["plans", "boxes"], ["../" + "{}"]])
def test_they_are_checked(paths: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, *(path.format(Path.cwd().name) for path in paths)) == []


def test_a_target_of_theirs_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "boxes", "-o", "plans/", "--target", "2"]) == 0
    assert found(capsys) == []


def test_a_box_that_changed_or_has_more_rows(capsys: pytest.CaptureFixture[str]) -> None:
    box_file("one", {**BOX, "network": {"mode": "tsi"}})
    box_file("m", ROW)
    assert found(capsys) == [("KR301", "plans/m-3.plan.json"), ("KR301", "plans/one.plan.json")]
    assert main(["check"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "has no plan = help: run krunc compile boxes/m.yaml -o plans/" in told
    assert "run krunc compile boxes/one.yaml -o plans/ and review the difference" in told
    for box in ("m", "one"):
        assert main(["compile", f"boxes/{box}.yaml", "-o", "plans/"]) == 0
    assert found(capsys) == []


def test_a_plan_whose_box_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes/one.yaml").unlink()
    assert found(capsys) == [("KR303", "plans/one.plan.json")]


def test_in_two_directories_nobody_knows_which(capsys: pytest.CaptureFixture[str]) -> None:
    main(["compile", "boxes", "-o", "more/"])
    missing = [("KR301", f"boxes/{name}.plan.json") for name in ("m-1", "m-2", "one")]
    assert sorted(row for row in found(capsys) if row[0] == "KR301") == missing


def test_the_plan_of_another_box_is_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    box_file("one", {**BOX, "name": "other"})
    assert ("KR301", "boxes/one.plan.json") in found(capsys)


def test_policies_of_both_directories_hold_from_where_the_plan_lies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("plans/.krunc").mkdir()
    Path("plans/.krunc/policy.yaml").write_text("krunc_policy: 1\nallow: {writes: [../boxes]}\n")
    broken = found(capsys)
    Path("plans/.krunc/policy.yaml").write_text("krunc_policy: 1\nallow: {writes: []}\n")
    assert {code for code, _ in found(capsys)} == {"KR501"}
    assert broken == []


VERBS = [
    ["check"], ["compile", "--check", "boxes/one.yaml", "-o", "plans/"], ["show", "plans/one.plan.json"],
    ["compile", "boxes", "-o", "plans/"], ["digest", "plans/one.plan.json"],
    ["diff", "plans/one.plan.json", "plans/one.plan.json"], ["emit", "slurm", "--base", "/b", "plans/m-1.plan.json"],
]  # fmt: skip


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_other_ends_of_lines_change_nothing(
    verb: list[str], end: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """git's core.autocrlf checks text out with CR LF."""
    plans = sorted(Path("plans").iterdir())
    assert main(verb, refusals) == 0
    told = capsys.readouterr()
    for plan in plans:
        plan.write_bytes(plan.read_bytes().replace(b"\n", end))
    before = [plan.read_bytes() for plan in plans]
    assert main(verb, refusals) == 0
    assert capsys.readouterr() == told
    assert [plan.read_bytes() for plan in plans] == before


@pytest.mark.parametrize("verb", VERBS[:2], ids=" ".join)
@pytest.mark.parametrize(("old", "new"), [(b"{", b"\xef\xbb\xbf{"), (b"\n", b"\n\n")])
def test_other_bytes_are_another_plan(verb: list[str], old: bytes, new: bytes) -> None:
    plan = Path("plans/one.plan.json")
    plan.write_bytes(plan.read_bytes().replace(old, new, 1))
    assert main(verb, refusals) == 1
