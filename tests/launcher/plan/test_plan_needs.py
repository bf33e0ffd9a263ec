"""A plan's head says what its calls need of libkrun: the compiler's reader and the launcher hold it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.values.inputs import Inputs
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify
from reviews import BOX

SHARED = {
    **BOX,
    "shares": [{"tag": "s", "path": "./s", "read_only": True}],
    "gpu": {"flags": ["venus"]},
}
# How a plan's head is edited; what is said of it.
EDITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "lowered": (lambda p: p["requires"].update(libkrun="1.0.0"), "the calls need 1.18.0"),
    "the lowest": (lambda p: p["requires"].update(libkrun="1.0"), "the calls need 1.18.0"),
    "raised": (lambda p: p["requires"].update(libkrun="1.19.0"), "the calls need 1.18.0"),
    "written otherwise": (lambda p: p["requires"].update(libkrun="1.18"), "the calls need 1.18.0"),
    "a feature less": (lambda p: p["requires"].update(features=[]), "the calls need gpu"),
    "a feature more": (lambda p: p["requires"].update(features=["gpu", "snd"]), "the calls need gpu"),
    "a feature twice": (lambda p: p["requires"].update(features=["gpu", "gpu"]), "the calls need gpu"),
    "a target that lacks them": (lambda p: p.update(target="1.16"), "but the calls need libkrun 1.18.0"),
}  # fmt: skip


def compiled(box: dict[str, Any], target: str = "1") -> dict[str, Any]:
    chosen = api.target(target)
    assert chosen is not None
    plan: dict[str, Any] = json.loads(to_text(compile_box("x", json.dumps(box), Inputs(chosen))))
    return plan


@pytest.mark.parametrize("edit", EDITS)
def test_a_head_that_is_not_what_the_calls_need_is_refused(
    edit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = compiled(SHARED)
    assert verify(plan)
    change, said = EDITS[edit]
    change(plan)
    with pytest.raises(PlanRefused) as refused:
        verify(plan)
    assert said in refused.value.findings[0][1]
    if edit == "a target that lacks them":
        return
    good, bad = tmp_path / "good.plan.json", tmp_path / "bad.plan.json"
    good.write_text(json.dumps(compiled(SHARED)))
    bad.write_text(json.dumps(plan))
    for command, status in (
        (["show", str(bad)], 1), (["digest", str(bad)], 1), (["diff", str(good), str(bad)], 2), (["diff", str(bad), str(good)], 2),
    ):  # fmt: skip
        assert main(command) == status
        assert "error[KR405]" in capsys.readouterr().err


@pytest.mark.parametrize("extra", ["disks", "kernel", "log", "network"])
@pytest.mark.parametrize("target", ["1", "1.19", "2"])
def test_what_values_need_counts(extra: str, target: str) -> None:
    """Not only functions came at some time: values of their arguments did."""
    keys: dict[str, dict[str, Any]] = {
        "disks": {"disks": [{"id": "a", "path": "a", "format": "vmdk"}]},
        "kernel": {"boot": {"kernel": {"path": "./k", "format": "elf"}}},
        "log": {"log": {"level": "info", "style": "never"}},
        "network": {"network": {"mode": "tsi"}},
    }
    try:
        plan = compiled({**BOX, **keys[extra]}, target)
    except Rejected:
        pytest.skip("this target has none")
    verify(plan)
    read_plan("x", json.dumps(plan))
    plan["requires"]["libkrun"] = "1.1.1"
    with pytest.raises(PlanRefused):
        verify(plan)
    with pytest.raises(Rejected):
        read_plan("x", json.dumps(plan))
