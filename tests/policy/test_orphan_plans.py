"""Plans that no box makes, and plans that do not lie beside their box, are found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from reviews import BOX

MATRIX = {**BOX, "name": "m-{{ n }}", "matrix": {"n": [1, 2]}}


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A matrix of two boxes, and a box alone, with their plans."""
    monkeypatch.chdir(tmp_path)
    directory = Path("boxes")
    directory.mkdir()
    (directory / "m.yaml").write_text(json.dumps(MATRIX))
    (directory / "one.yaml").write_text(json.dumps(BOX))
    assert main(["compile", "boxes"]) == 0
    assert main(["check"]) == 0
    return directory


def found(capsys: pytest.CaptureFixture[str], *paths: str) -> list[tuple[str, str, str]]:
    capsys.readouterr()
    status = main(["check", *paths, "--format", "json"])
    rows = json.loads(capsys.readouterr().out)["findings"]
    assert status == any(row["level"] == "error" for row in rows)
    return [(row["code"], row["level"], row["file"]) for row in rows if row["code"][:4] == "KR30"]


def of_code(*rows: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    return sorted(rows)


def a_row_less(directory: Path) -> None:
    (directory / "m.yaml").write_text(json.dumps({**MATRIX, "matrix": {"n": [1]}}))


def another_name(directory: Path) -> None:
    renamed = {**MATRIX, "name": "{{ 'm' if n == 1 else 'x' }}-{{ n }}"}
    (directory / "m.yaml").write_text(json.dumps(renamed))
    main(["compile", "boxes"])


def without_the_matrix(directory: Path) -> None:
    (directory / "m.yaml").write_text(json.dumps({**BOX, "name": "m-1"}))
    main(["compile", "boxes"])
    (directory / "m-1.plan.json").unlink()


@pytest.mark.parametrize("change", [a_row_less, another_name, without_the_matrix])
def test_a_matrix_that_loses_a_box(
    change: Any, boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(boxes)
    for paths in ([], ["boxes"], ["./boxes", "boxes"], sorted(map(str, boxes.iterdir()))):
        orphans = [row for row in found(capsys, *paths) if row[0] == "KR303"]
        assert orphans == [("KR303", "error", "boxes/m-2.plan.json")], paths


def test_a_box_that_is_gone(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (boxes / "one.yaml").unlink()
    orphan = ("KR303", "error", "boxes/one.plan.json")
    assert found(capsys) == [orphan]
    assert found(capsys, "boxes") == [orphan]
    # By itself a plan is held to the policies only, beside a box to its neighbours.
    assert found(capsys, "boxes/one.plan.json") == []
    assert found(capsys, "boxes/one.plan.json", "boxes/m.yaml") == [orphan]
    (boxes / "m.yaml").unlink()
    assert len(found(capsys)) == 3


def test_a_plan_beside_boxes_that_were_not_named(
    boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(capsys, "boxes/m.yaml", "boxes/one.plan.json") == []
    assert found(capsys, "boxes/one.yaml", "boxes/m-2.plan.json") == []


def test_a_box_that_is_wrong_hides_what_it_makes(
    boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (boxes / "m.yaml").write_text(json.dumps({**MATRIX, "name": "M {{ n }}"}))
    assert main(["check"]) == 1
    assert found(capsys) == []


@pytest.mark.parametrize("name", ["plans/one.plan.json", "boxes/two.plan.json", "net.json"])
def test_a_plan_that_lies_elsewhere(
    name: str, boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("plans").mkdir()
    assert main(["compile", "boxes/one.yaml", "-o", name]) == 0
    assert found(capsys) == [("KR304", "warning", name)]
    # Copied, its paths name others; changed, it is another.
    shutil.copy("boxes/one.plan.json", name)
    expected = ("KR304", "warning") if name.startswith("boxes") else ("KR303", "error")
    assert found(capsys) == [(*expected, name)]
    (boxes / "one.yaml").write_text(json.dumps({**BOX, "network": {"mode": "tsi"}}))
    assert main(["compile", "boxes/one.yaml"]) == 0
    assert found(capsys) == [("KR303", "error", name)]


def test_the_plans_of_a_matrix_elsewhere(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plans").mkdir()
    assert main(["compile", "boxes/m.yaml", "--target", "2", "-o", "plans"]) == 0
    assert found(capsys) == [("KR304", "warning", f"plans/m-{n}.plan.json") for n in (1, 2)]


@pytest.mark.parametrize(
    ("name", "text", "is_told"),
    [
        ("one.lock.json", '{"krunc_lock": 1, "images": []}', False),
        ("gone.lock.json", '{"krunc_lock": 1, "images": []}', True),
        ("sub/one.lock.json", '{\n"krunc_lock": 1,\n"images": []\n}\n', True),
        ("notes.lock.json", '{"krunc_lock": 1, "images": []}', True),
        ("gone.lock.json", '{"lockfileVersion": 3}', False),
        ("package-lock.json", '{"krunc_lock": 1}', False),
    ],
)
def test_a_lock_whose_box_is_gone(
    name: str, text: str, is_told: bool, boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (boxes / "notes.yaml").write_text("these: are notes\n")
    (boxes / "sub").mkdir()
    (boxes / name).write_text(text)
    capsys.readouterr()
    for paths in (["."], ["boxes"], ["boxes", "./boxes"]):
        assert main(["check", *paths, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["findings"]
        told = [(row["code"], row["level"], row["file"]) for row in rows if row["code"] == "KR709"]
        assert told == ([("KR709", "warning", f"boxes/{name}")] if is_told else []), paths
