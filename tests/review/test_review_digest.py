"""The digest of a plan's meaning, by the published vectors and by what must and must not count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.plan.digest import canonical, digest
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.summary import review
from places import ROOT, TESTS

VECTORS = json.loads((TESTS / "digest_vectors.json").read_text("utf-8"))["vectors"]
HELLO = ROOT / "boxes" / "hello.plan.json"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_vector(vector: dict[str, Any]) -> None:
    plan = json.loads(vector["plan"])
    assert canonical(plan) == vector["canonical"]
    assert digest(plan) == vector["digest"]
    assert "sha256:" + hashlib.sha256(vector["canonical"].encode()).hexdigest() == vector["digest"]


def test_the_vectors_are_not_all_one() -> None:
    assert len({vector["digest"] for vector in VECTORS}) == len(VECTORS) - 1
    assert VECTORS[0]["digest"] == VECTORS[1]["digest"]


def operation(number: int, **keys: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan["operations"][number].update(keys)


# What changes a digest, and what does not.
COUNTS: list[tuple[Callable[[dict[str, Any]], Any], bool]] = [
    (lambda plan: plan.update(box_digest="sha256:" + "1" * 64), False),
    (lambda plan: plan["requires"].update(because=[]), False),
    (operation(3, **{"from": "else"}), False),
    (lambda plan: plan.update(box="two"), True),
    (lambda plan: plan.update(target="1.16"), True),
    (lambda plan: plan.update(api="v2_flat"), True),
    (lambda plan: plan["requires"].update(libkrun="1.14.0"), True),
    (lambda plan: plan["requires"].update(features=["net"]), True),
    (lambda plan: plan["operations"].reverse(), True),
    (lambda plan: plan["operations"].pop(0), True),
    (lambda plan: plan["operations"][4]["args"].update(num_vcpus=2), True),
    (lambda plan: plan["operations"][2].pop("on_failure"), True),
    (lambda plan: plan.update(later={"key": 1}), True),
]


@pytest.mark.parametrize(("change", "counts"), COUNTS, ids=range(len(COUNTS)))
def test_what_counts(change: Callable[[dict[str, Any]], Any], counts: bool) -> None:
    plan = json.loads(HELLO.read_text("utf-8"))
    before = digest(plan)
    change(plan)
    assert (digest(plan) != before) == counts


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plans = sorted(map(str, (ROOT / "boxes").glob("*.plan.json")))
    assert main(["digest", *plans]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ") for line in lines] == [
        [digest(json.loads(Path(path).read_text("utf-8"))), path] for path in plans
    ]
    assert len(set(lines)) == len(plans)


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_every_review_shows_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = review(read_plan("x", HELLO.read_text("utf-8"))).digest
    assert main(["show", str(HELLO), "--format", form]) == 0
    assert wanted in capsys.readouterr().out
    assert main(["diff", "/dev/null", str(HELLO), "--format", form]) == 1
    assert wanted in capsys.readouterr().out


def test_nothing_is_printed_when_one_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.plan.json"
    bad.write_text("{}")
    assert main(["digest", str(HELLO), str(bad), str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "bad.plan.json" in said.err
    assert "none" in said.err
