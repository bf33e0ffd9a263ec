"""launch: is the stage's own: no box names a path there, and no operation of a plan but the stage's."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from refusals import refusals

BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "tsi"},
    "entrypoint": {"executable": "/bin/a"},
}
SECRET = {"executable": "/bin/a", "env": {"T": {"from_file": "launch:stage"}}}
WRITTEN: list[dict[str, Any]] = [
    {"rootfs": {"path": "launch:stage"}},
    {"rootfs": {"path": "launch:x"}},
    {"rootfs": {"path": "./rootfs", "overlay": [{"path": "/a", "file": "launch:stage/orders"}]}},
    {"shares": [{"tag": "a", "path": "launch:stage", "read_only": False}]},
    {"disks": [{"id": "a", "path": "launch:stage/orders", "format": "raw"}]},
    {"vsock": [{"port": 9, "socket": "launch:report", "listen": True}]},
    {"vsock": [{"port": 9, "socket": "launch:report", "listen": False}]},
    {"console": {"output": "launch:report"}},
    {"log": {"target": {"file": "launch:log"}}},
    {"boot": {"init": "launch:stage/stage"}},
    {"entrypoint": SECRET},
    {"vars": {"p": "launch:x"}, "rootfs": {"path": "{{ p }}"}},
]


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("keys", WRITTEN)
def test_no_box_names_one(
    keys: dict[str, Any], staged: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = {**BOX, **keys, **({"hostname": "here"} if staged else {})}
    (tmp_path / "box.yaml").write_text(json.dumps(box))
    assert main(["compile", str(tmp_path / "box.yaml"), "--target", "2"]) == 1
    assert "launch: and store: are krunc's own" in capsys.readouterr().err


def compiled(tmp_path: Path, **keys: Any) -> dict[str, Any]:
    (tmp_path / "box.yaml").write_text(json.dumps({**BOX, **keys}))
    assert main(["compile", str(tmp_path / "box.yaml"), "--target", "2"]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "box.plan.json").read_text())
    assert refusals(found) == []
    return found


FILE = {"fs_tag": "/dev/root", "path": "a", "mode": 33188, "one_shot": False}
DISK = {"block_id": "a", "disk_format": "raw", "read_only": True}
OPERATIONS: list[dict[str, Any]] = [
    {"step": "open_file", "args": {"path": "launch:report", "name": "a"}},
    {"step": "open_device", "args": {"path": "launch:stage", "access": "read", "name": "a"}},
    {"step": "clear_stale_socket", "args": {"path": "launch:report"}},
    {"step": "require_file", "args": {"path": "launch:stage", "access": "read"}},
    {"step": "require_directory", "args": {"path": "launch:stage", "access": "read-write"}},
    {"step": "require_socket", "args": {"path": "launch:report", "type": "stream"}},
    {"call": "krun_add_virtiofs", "args": {"tag": "a", "path": "launch:stage"}},
    {"call": "krun_add_disk2", "args": {**DISK, "disk_path": "launch:report"}},
    {
        "call": "krun_add_vsock_port2",
        "args": {"port": 9, "filepath": "launch:report", "listen": True},
    },
    {"call": "krun_fs_add_overlay_file", "args": {**FILE, "data": {"file": "launch:stage"}}},
]


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: str(row)[:60])
def test_no_other_operation_of_a_plan_has_one(
    operation: dict[str, Any], staged: bool, tmp_path: Path
) -> None:
    plan = compiled(tmp_path, **({"hostname": "here"} if staged else {}))
    for place in (1, 6, len(plan["operations"]) - 1):
        changed = deepcopy(plan)
        changed["operations"].insert(place, {**operation, "from": "default"})
        # A plan that names such a path has to be one of the stage.
        words = ("launch", "the order report is missing")
        assert any(word in one for word in words for one in refusals(changed)), refusals(changed)


def test_no_secret_is_read_there(tmp_path: Path) -> None:
    plan = compiled(
        tmp_path, entrypoint={"executable": "/bin/a", "env": {"T": {"from_file": "./t"}}}
    )
    text = json.dumps(plan)
    for path in ("launch:stage", "launch:report", "launch:x"):
        changed = json.loads(text.replace('{"from_file": "t"}', json.dumps({"from_file": path})))
        assert changed != plan
        assert any("launch" in sentence for sentence in refusals(changed))
