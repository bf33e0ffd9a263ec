"""Plans that a newer krunc made: every command says so, and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reviews import BOX, compiled

COMMANDS = {
    "show": ["show", "new.plan.json"],
    "new": ["diff", "old.plan.json", "new.plan.json"],
    "old": ["diff", "new.plan.json", "old.plan.json"],
    "check": ["check", "new.plan.json"],
    "digest": ["digest", "new.plan.json"],
    "launch": ["launch", "--dry-run", "new.plan.json"],
}
UPDATE = "update krunc here if a newer one made the plan, or compile the box with this one"
UPDATE_FOR_ITS_FORMAT = "update krunc here, or compile the box with this one"


def said(directory: Path, command: str, change: Callable[[dict[str, Any]], object]) -> str:
    """What a command prints about a plan with a CHANGE."""
    value = json.loads(compiled(BOX))
    change(value)
    (directory / "old.plan.json").write_text(compiled(BOX))
    (directory / "new.plan.json").write_text(json.dumps(value))
    run = [sys.executable, "-m", "krunc", *COMMANDS[command]]
    done = subprocess.run(run, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2, 125), done
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [2, 3, 10**9])
def test_a_newer_format(command: str, number: int, tmp_path: Path) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan.update(krunc_plan=number, operations={"of": "tomorrow"}, more=[])
        del plan["target"]

    text = said(tmp_path, command, change)
    assert f"format {number} is newer than this krunc, which knows 1" in text
    assert (UPDATE if command != "launch" else UPDATE_FOR_ITS_FORMAT) in text
    assert "target" not in text, "what else is not as here may be right"


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", None, [2]])
def test_what_is_no_newer_format(number: Any, tmp_path: Path) -> None:
    text = said(tmp_path, "show", lambda plan: plan.update(krunc_plan=number))
    assert "newer than" not in text
    assert "error[KR10" in text or "error[KR401]" in text


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "call": lambda plan: plan["operations"].insert(3, {"call": "krun_zzz", "args": {}, "from": "a"}),
    "step": lambda plan: plan["operations"].insert(0, {"step": "zzzzzz", "args": {}, "from": "a"}),
    "key": lambda plan: plan.update(zzzzzz=1),
    "key of an operation": lambda plan: plan["operations"][0].update(zzzzzz=1),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_newer_krunc_may_know(change: str, tmp_path: Path) -> None:
    text = said(tmp_path, "show", CHANGES[change])
    assert "zzz" in text
    assert UPDATE in text
