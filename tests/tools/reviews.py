"""Plans for the tests of the review: made from operations, or from boxes."""

from __future__ import annotations

import json
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import Plan, to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.markdown import prose
from krunc_compiler.review.summary import Review, review
from krunc_compiler.values.inputs import Inputs


def in_markdown(sentence: str) -> str:
    """A sentence as markdown has it where there is room."""
    return prose(sentence, 100_000)


def plan(*operations: dict[str, Any], era: str = "v1") -> Plan:
    """A plan of OPERATIONS, none of which anybody has checked."""
    rows = tuple({"from": "default", **operation} for operation in operations)
    requires = {"libkrun": "1.0", "features": [], "because": []}
    return Plan("one", "1", era, requires, "sha256:" + "0" * 64, rows)


def reviewed(*operations: dict[str, Any], era: str = "v1") -> Review:
    """The review of such a plan."""
    return review(plan(*operations, era=era))


def call(name: str, /, **args: Any) -> dict[str, Any]:
    """A libkrun call."""
    return {"call": name, "args": args}


def order(name: str, /, **args: Any) -> dict[str, Any]:
    """An order of the stage."""
    return {"order": name, "args": args, "from": "a"}


def step(name: str, /, **args: Any) -> dict[str, Any]:
    """A host step."""
    return {"step": name, "args": args}


BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "one",
    "machine": {"cpus": 2, "memory": "1GiB"},
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}


def compiled(box: dict[str, Any], target: str = "1") -> str:
    """The plan of a box as a text."""
    chosen = api.target(target)
    assert chosen is not None
    return to_text(compile_box("box.yaml", json.dumps(box), Inputs(chosen)))


def reviewed_box(box: dict[str, Any], target: str = "1") -> Review:
    """The review of a box's plan."""
    return review(read_plan("box.plan.json", compiled(box, target)))
