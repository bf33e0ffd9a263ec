"""store: is the images' own: no box names a path there, and of a plan only the image and its disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.plan.plan import to_text
from locks import digest
from refusals import refusals
from whole_boxes import IMAGE, IMAGE_ALONE, IMAGE_KEPT, compiled

HERE = f"store:{digest('8')}"
BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "tsi"},
    "entrypoint": {"executable": "/bin/a"},
}
SECRET = {"executable": "/bin/a", "env": {"T": {"from_file": HERE}}}
WRITTEN: list[dict[str, Any]] = [
    {"rootfs": {"path": HERE}},
    {"rootfs": {"path": "store:x"}},
    {"rootfs": {"path": "./rootfs", "overlay": [{"path": "/a", "file": HERE}]}},
    {"shares": [{"tag": "a", "path": "store:", "read_only": True}]},
    {"disks": [{"id": "a", "path": HERE, "format": "raw", "read_only": True}]},
    {"vsock": [{"port": 9, "socket": "store:a", "listen": True}]},
    {"console": {"output": "store:a"}},
    {"log": {"target": {"file": HERE}}},
    {"boot": {"init": HERE}},
    {"entrypoint": SECRET},
    {"vars": {"p": HERE}, "rootfs": {"path": "{{ p }}"}},
]


@pytest.mark.parametrize("keys", WRITTEN)
def test_no_box_names_one(keys: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refused:
        compiled(json.dumps({**BOX, **keys}), "2")
    assert "launch: and store: are krunc's own" in report(refused.value.findings)


def value(box: str = IMAGE, target: str = "2") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_text(compiled(box, target)))
    assert refusals(found) == []
    return found


def at(plan: dict[str, Any], name: str) -> dict[str, Any]:
    """The arguments of the operation NAME; the image's disk is the last."""
    rows = [row for row in plan["operations"] if name in (row.get("step"), row.get("call"))]
    args: dict[str, Any] = rows[-1]["args"]
    return args


DISK = {"block_id": "a", "disk_format": "raw", "read_only": True}
FILE = {"fs_tag": "/dev/root", "path": "a", "mode": 33188, "one_shot": False}
OPERATIONS: list[dict[str, Any]] = [
    {"step": "open_file", "args": {"path": HERE, "name": "a"}},
    {"step": "open_device", "args": {"path": HERE, "access": "read", "name": "a"}},
    {"step": "clear_stale_socket", "args": {"path": HERE}},
    {"step": "require_file", "args": {"path": HERE, "access": "read"}},
    {"step": "require_directory", "args": {"path": "store:", "access": "read-write"}},
    {"step": "require_socket", "args": {"path": HERE, "type": "stream"}},
    {"call": "krun_add_virtiofs", "args": {"tag": "a", "path": "store:"}},
    {"call": "krun_add_disk2", "args": {**DISK, "disk_path": HERE}},
    {"call": "krun_add_vsock_port2", "args": {"port": 9, "filepath": HERE, "listen": True}},
    {"call": "krun_fs_add_overlay_file", "args": {**FILE, "data": {"file": HERE}}},
]


@pytest.mark.parametrize("box", [IMAGE, json.dumps(BOX)], ids=["image", "directory"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: str(row)[:60])
def test_no_other_operation_of_a_plan_has_one(operation: dict[str, Any], box: str) -> None:
    plan = value(box)
    for place in (1, 6, len(plan["operations"]) - 1):
        changed = deepcopy(plan)
        changed["operations"].insert(place, {**operation, "from": "default"})
        said = refusals(changed)
        assert any("store:" in one or "no condition before it" in one for one in said), said


@pytest.mark.parametrize(
    "path",
    [
        "store:", "store:x", "store:sha256:", f"store:{digest('8')[:-1]}", f"store:{digest('8')}0",
        f"store:{digest('A')}", f"store:{digest('8')}/../x", "store:../../etc/passwd",
        f"store:sha256:{'../' * 21}a", f"store:{digest('8')}\n", f"store: {digest('8')}",
    ],
)  # fmt: skip
def test_only_a_digest_is_a_name_there(path: str) -> None:
    plan = value()
    at(plan, "require_image")["path"] = at(plan, "krun_add_disk2")["disk_path"] = path
    assert any("store:" in one for one in refusals(plan))


CHANGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda plan: at(plan, "krun_add_disk2").update(read_only=False), "raw and read-only"),
    (lambda plan: at(plan, "krun_add_disk2").update(disk_format="qcow2"), "raw and read-only"),
    (lambda plan: at(plan, "krun_add_disk2").update(disk_format="vmdk"), "raw and read-only"),
    (lambda plan: at(plan, "krun_add_disk2").update(disk_path=HERE), "no condition before it"),
    (lambda plan: at(plan, "require_image").update(path=HERE), "no condition before it"),
    (lambda plan: at(plan, "require_image").update(path="a.img"), "no call uses"),
    (lambda plan: at(plan, "require_image").update(access="read-write"), "allowed: read"),
    (lambda plan: at(plan, "require_image").update(manifest="sha256:1"), "64 hexadecimal"),
    (lambda plan: at(plan, "require_image").update(config=None), "64 hexadecimal"),
    (lambda plan: at(plan, "require_image").update(platform="linux/s390x"), "allowed: linux/"),
    (lambda plan: at(plan, "require_image").update(size=0), "allowed: 1 to"),
    (lambda plan: at(plan, "require_image").update(size=True), "allowed: 1 to"),
    (lambda plan: at(plan, "require_image").update(layers=-1), "allowed: 0 to"),
    (lambda plan: at(plan, "require_image").update(reference=""), "allowed: 1 to"),
    (lambda plan: at(plan, "require_image").update(more=1), "not known"),
    (lambda plan: at(plan, "require_image").pop("config"), "missing"),
    (
        lambda plan: plan["operations"].remove(
            next(row for row in plan["operations"] if row.get("step") == "require_image")
        ),
        "no condition before it",
    ),
]


@pytest.mark.parametrize("box", [IMAGE, IMAGE_KEPT, IMAGE_ALONE], ids=["image", "kept", "alone"])
@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_an_image_is_demanded_as_it_is_attached(number: int, box: str) -> None:
    plan = value(box)
    change, said = CHANGES[number]
    change(plan)
    assert any(said in one for one in refusals(plan)), refusals(plan)


def test_no_secret_is_read_there() -> None:
    plan = value(json.dumps({**BOX, "entrypoint": {**SECRET, "env": {"T": {"from_file": "./t"}}}}))
    text = json.dumps(plan)
    changed = json.loads(text.replace('{"from_file": "t"}', json.dumps({"from_file": HERE})))
    assert changed != plan
    assert any("store:" in sentence for sentence in refusals(changed))
