"""The orders of a plan, and the calls by which the VM starts with the stage: what can be wrong of them
together, each by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify

Rows = list[dict[str, Any]]
BOX = {
    "krunc": 1,
    "name": "orders",
    "rootfs": {"path": "./rootfs", "read_only": True},
    "shares": [{"tag": "src", "path": "./src", "mount": "/src"}],
    "disks": [
        {"id": "one", "path": "./one.img", "format": "raw", "read_only": True, "mount": "/one"},
        {"id": "two", "path": "./two.img", "format": "raw", "mount": "/two"},
    ],
    "hostname": "here",
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a", "user": "1000:1000"},
}


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "box.yaml").write_text(json.dumps(BOX))
    assert main(["compile", "--target", "1.18", str(tmp_path / "box.yaml")]) == 0
    made: dict[str, Any] = json.loads((tmp_path / "box.plan.json").read_text())
    return made


def at(rows: Rows, name: str) -> int:
    (place,) = (
        i
        for i, row in enumerate(rows)
        if name in (row.get("call"), row.get("order"), row.get("step"))
    )
    return place


def sharing(rows: Rows, tag: str) -> dict[str, Any]:
    (row,) = (row for row in rows if "call" in row and row.get("args", {}).get("tag") == tag)
    args: dict[str, Any] = row["args"]
    return args


def without(name: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        del rows[at(rows, name)]

    return change


def moved(name: str, before: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        row = rows.pop(at(rows, name))
        rows.insert(at(rows, before), row)

    return change


def given(name: str, /, **args: Any) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[at(rows, name)]["args"] |= args

    return change


def shared(tag: str, /, **args: Any) -> Callable[[Rows], None]:
    return lambda rows: sharing(rows, tag).update(args)


def with_row(before: str, **row: Any) -> Callable[[Rows], None]:
    return lambda rows: rows.insert(at(rows, before), {**row, "from": "default"})


def without_init(rows: Rows) -> None:
    rows[:] = [row for row in rows if row.get("implicit") != "init"]


ATTACHED = "no call of the plan attaches"
ONE_CALL = "expected exactly one call for the stage's"
OWN = "is the launch's own; only the stage uses it"
WRONG: dict[str, tuple[Callable[[Rows], None], str]] = {
    # In order.
    "a later kind first": (moved("user", "hostname"), "the order hostname is before those of a later"),
    "the root last": (moved("root_share", "program"), "the order root_share is before those of"),
    "a call between": (moved("krun_set_workdir", "user"), "the orders have to be next to each other"),
    "a step between": (moved("confine", "program"), "the orders have to be next to each other"),
    "no report": (without("report"), "the order report is missing"),
    "no directory": (without("workdir"), "the order workdir is missing"),
    "no program": (without("program"), "the order program is missing"),
    "no root": (without("root_share"), "expected exactly one of the orders root_share and root_disk"),
    "two roots": (
        with_row(
            "hostname",
            order="root_disk",
            args={"device": "/dev/vda", "fstype": "ext4", "options": None, "access": "read"},
        ),
        "expected exactly one of the orders root_share and root_disk",
    ),
    # What starts the stage.
    "another program": (
        given("krun_set_exec", exec_path="/bin/sh"), "the stage is started as /stage /orders"
    ),
    "another argument": (
        given("krun_set_exec", argv=["/orders", "x"]), "the stage is started as /stage /orders"
    ),
    "a variable": (
        given("krun_set_exec", envp={"A": "b"}), "the stage is started as /stage /orders"
    ),
    "another directory": (given("krun_set_workdir", workdir_path="/m"), "the stage starts in /"),
    "without a program": (without("krun_set_exec"), f"{ONE_CALL} program"),
    "another root": (shared("/dev/root", path="rootfs"), f"{ONE_CALL} root"),
    "another tag of the root": (shared("/dev/root", tag="root"), f"{ONE_CALL} root"),
    "without a socket": (without("krun_add_vsock_port2"), f"{ONE_CALL} socket"),
    "a socket that listens": (given("krun_add_vsock_port2", listen=True), f"{ONE_CALL} socket"),
    "a socket of another port": (given("krun_add_vsock_port2", port=2695), f"{ONE_CALL} socket"),
    "a report to another port": (given("report", port=2695), "the stage reports on port 2694"),
    "the stage elsewhere": (given("lay_stage", path="elsewhere"), "the stage lies in launch:stage"),
    "the stage in the runtime directory": (
        given("lay_stage", path="runtime:stage"), "the stage lies in launch:stage"
    ),
    "no stage": (without("lay_stage"), "lay_stage is missing before the first call"),
    "another init": (without_init, "the stage is started by libkrun's own init"),
    # What else names it.
    "a share of it": (shared("src", path="launch:stage"), f'"launch:stage" {OWN}'),
    "another socket in it": (given("krun_add_vsock_port2", filepath="launch:report", port=1), ONE_CALL),
    # What the orders name.
    "a share that is not there": (given("mount_share", tag="x"), f'{ATTACHED} "x"'),
    "the stage as a share": (given("mount_share", tag="/dev/root"), f'{ATTACHED} "/dev/root"'),
    "the stage as the root": (given("root_share", tag="/dev/root"), f'{ATTACHED} "/dev/root"'),
    "more than the share lets": (
        given("mount_share", access="read-write"), '"src" is attached read-only'
    ),
    "more than the root lets": (
        given("root_share", access="read-write"), '"krunc-root" is attached read-only'
    ),
}  # fmt: skip
DISKS = {
    "a disk that is not there": ("/dev/vdc", "read", f'{ATTACHED} "/dev/vdc"'),
    "one of many letters": ("/dev/vdaa", "read", f'{ATTACHED} "/dev/vdaa"'),
    "no letter": ("/dev/vd1", "read", f'{ATTACHED} "/dev/vd1"'),
    "another device": ("/dev/sda", "read", f'{ATTACHED} "/dev/sda"'),
    "more than the disk lets": ("/dev/vda", "read-write", '"/dev/vda" is attached read-only'),
    "more than its partition lets": (
        "/dev/vda1",
        "read-write",
        '"/dev/vda1" is attached read-only',
    ),
    "a partition": ("/dev/vdb12", "read-write", ""),
}


def sentences(plan: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanRefused) as refused:
        verify(plan)
    return [sentence for _, sentence in refused.value.findings]


def test_the_plan_is_well(plan: dict[str, Any]) -> None:
    assert verify(plan) is plan


@pytest.mark.parametrize("what", WRONG)
def test_wrong_together(what: str, plan: dict[str, Any]) -> None:
    change, said = WRONG[what]
    change(plan["operations"])
    assert [one for one in sentences(plan) if said in one]


@pytest.mark.parametrize("what", DISKS)
def test_disks(what: str, plan: dict[str, Any]) -> None:
    device, access, said = DISKS[what]
    (row,) = (
        row
        for row in plan["operations"]
        if row.get("order") == "mount_disk" and row["args"]["path"] == "/two"
    )
    row["args"] |= {"device": device, "access": access}
    if not said:
        assert verify(plan) is plan
    else:
        assert [one for one in sentences(plan) if said in one]


@pytest.mark.parametrize(
    "name", ["lay_stage", "report", "program", "krun_set_exec", "init", "krun_set_workdir"]
)
def test_a_note_that_is_called_like_them(name: str, plan: dict[str, Any]) -> None:
    """What libkrun does by itself may have any name, and has no arguments."""
    plan["operations"].insert(0, {"implicit": name, "from": "default"})
    found = sentences(plan)
    assert not [
        one for one in found if "stage" in one and "implies" not in one and "imply" not in one
    ]
