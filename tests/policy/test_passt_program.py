"""The passt of a plan is a program of the host, outside of the VM's confinement: another one than
the usual is shown as that, widens, and no policy allows it by allowing passt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.review.difference import compare
from krunc_compiler.review.facts.network import USUAL
from krunc_schema import load
from reviews import reviewed_box

# As a pull request can have them.
OTHERS = [
    "./passt", "passt", "./evil", "/usr/bin/../../tmp/x", "/usr//bin/passt2", "/usr/local/bin/passt", "/bin/sh",
    "runtime:passt", "/usr/bin/passt.avx2", "/USR/bin/passt", "/usr/bin/p\u0430sst",
]  # fmt: skip


USUALLY = [None, USUAL, "//usr/./bin/passt"]


def box(program: str | None, **more: Any) -> dict[str, Any]:
    network = {"mode": "passt"} if program is None else {"mode": "passt", "program": program}
    return {
        "krunc": 1,
        "name": "one",
        "rootfs": {"path": "./rootfs"},
        "network": {**network, **more},
        "entrypoint": {"executable": "/bin/a"},
    }


def test_the_usual_one_is_the_default() -> None:
    schema = load("box.schema")["$defs"]["passt"]["properties"]["program"]
    assert schema["default"] == USUAL


@pytest.mark.parametrize("program", OTHERS)
def test_another_one_is_shown_and_widens(program: str) -> None:
    old, new = reviewed_box(box(None)), reviewed_box(box(program))
    texts = [fact.text for fact in new.exposure if fact.kind == "network"]
    assert any("a program that runs on the host as its user" in text for text in texts)
    assert not any("a program" in fact.text for fact in old.exposure)
    widens = {change.kind for change in compare(old, new).changes if change.effect == "widens"}
    assert widens == {"network", "launcher"}


@pytest.mark.parametrize("program", [*USUALLY, *OTHERS])
@pytest.mark.parametrize("networks", [["passt"], ["passt", "passt_program"], []])
def test_a_policy(
    program: str | None, networks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".krunc").mkdir()
    policy = {"krunc_policy": 1, "allow": {"networks": networks}}
    (tmp_path / ".krunc/policy.yaml").write_text(json.dumps(policy))
    (tmp_path / "box.yaml").write_text(json.dumps(box(program)))
    assert main(["compile", "box.yaml"]) == 0
    is_usual = program in USUALLY
    allows = "passt" in networks and (is_usual or "passt_program" in networks)
    assert main(["check"]) == (0 if allows else 1)
