"""What a plan lays over a directory lies at one place, however its path is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from krunc_compiler.plan.plan import to_text
from refusals import refusals
from whole_boxes import compiled

BOX = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./rootfs", "overlay": [{"path": "/app", "text": "good"}]},
    "shares": [{"tag": "s", "path": "./s"}],
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/app"},
}
FILE = "krun_fs_add_overlay_file"
DIRECTORY = "krun_fs_add_overlay_dir"
SPELLED = ["/app", "app", "//app", "./app", "/app/", "x/../app", "/../app", "app/."]


def laid(function: str, path: str, tag: str | None = None) -> list[str]:
    """What is wrong with a plan that has another call for something at PATH, before the first."""
    plan: dict[str, Any] = json.loads(to_text(compiled(json.dumps(BOX), "2")))
    index = next(i for i, row in enumerate(plan["operations"]) if row.get("call") == FILE)
    args = {**plan["operations"][index]["args"], "path": path}
    args["fs_tag"] = tag or args["fs_tag"]
    if function == DIRECTORY:
        args = {name: args[name] for name in ("fs_tag", "path", "mode")}
    plan["operations"].insert(index, {"call": function, "args": args, "from": "default"})
    return refusals(plan)


@pytest.mark.parametrize("function", [FILE, DIRECTORY])
@pytest.mark.parametrize("path", SPELLED)
def test_no_two_calls_lay_something_at_one_place(function: str, path: str) -> None:
    (said,) = laid(function, path)
    assert said.startswith('the path "/app" is that of operations[')


@pytest.mark.parametrize("path", ["/app2", "/x/app", "/App", "/app/a"])
def test_other_places_are_others(path: str) -> None:
    assert laid(FILE, path) == []


def test_so_is_the_same_path_in_another_directory() -> None:
    assert laid(FILE, "/app", "s") == []


@pytest.mark.parametrize("path", ["/.krun_config.json", "./.krun_config.json", "a/../.krun_config.json"])  # fmt: skip
def test_the_configuration_is_that_however_it_is_written(path: str) -> None:
    assert any("a process is needed here" in one for one in laid(FILE, path, "/dev/root"))
