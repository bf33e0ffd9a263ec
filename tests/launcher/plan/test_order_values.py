"""What the values of orders may be: the launcher refuses in a plan what no key of a box can say, so
that a review never shows another mount, user or name than the guest gets."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.values.inputs import Inputs
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify
from krunc_schema import load

TABLE = load("orders")
BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "all",
    "target": 2,
    "rootfs": {"path": "./rootfs", "changes": {"disk": "kept"}},
    "shares": [{"tag": "s", "path": "./s", "mount": "/s"}],
    "disks": [
        {"id": "kept", "path": "k.img", "format": "raw"},
        {"id": "d", "path": "d.img", "format": "raw", "mount": "/d", "options": "noatime"},
    ],
    "tmpfs": ["/t"],
    "network": {"mode": "passt"},
    "hostname": "here",
    "hosts": {"there": "10.0.0.5"},
    "dns": ["10.0.0.1"],
    "entrypoint": {"executable": "/bin/a", "user": "app", "before": "true"},
}
DISK_ROOT: dict[str, Any] = {
    **BOX,
    "rootfs": {"disk": "kept", "fstype": "ext4", "read_only": True},
    "disks": [{**BOX["disks"][0], "read_only": True}, BOX["disks"][1]],
}
BARE_ROOT: dict[str, Any] = {
    **{key: BOX[key] for key in ("krunc", "name", "target")},
    "rootfs": {"disk": "r", "fstype": "ext4"},
    "disks": [{"id": "r", "path": "r.img", "format": "raw"}],
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}
# Texts that the guest takes as they are, whatever is in them.
FREE = {("before", "script"), ("program", "exec_path")}

NOT_MOUNTED_AT = (
    "/", "//", "/proc", "/proc/", "/proc/self", "/dev", "/dev/shm", "/sys", "/sys/fs/cgroup", "/./proc", "/x/../proc",
    "proc", "", "/a//b", "/a/.", "/..",
)  # fmt: skip
NO_WORDS = (
    "a b", "a\nb", "a\tb", "a\rb", "a\x1b[2J", "a\x00b", "a\u202eb", "\u00fc", "\u0430", "a#b", "a;b", "a'b", 'a"b',
    "", "a\n10.0.0.6 evil", "a/b", "\ud800",
)  # fmt: skip
NO_NAMES = (*NO_WORDS, "a:b")
NO_ADDRESSES = (
    *NO_WORDS,
    "fe80::1%eth0",
    "localhost",
    "10.0.0.1 ",
    "10.0.0.1\nnameserver 10.0.0.2",
)
NO_DISKS = (*TABLE["no_disks"].split(), *NO_WORDS, "ext4,rw", "..\n")
NO_LAYERS = (*NO_DISKS, *TABLE["no_layers"].split())

# Of an order and its parameter: what it must not be, and the keys of the box that say the same.
BAD: dict[tuple[str, str], tuple[tuple[str, ...], tuple[str | int, ...]]] = {
    ("mount_share", "path"): (NOT_MOUNTED_AT, ("shares", 0, "mount")),
    ("mount_disk", "path"): (NOT_MOUNTED_AT, ("disks", 1, "mount")),
    ("mount_tmpfs", "path"): (NOT_MOUNTED_AT, ("tmpfs", 0)),
    ("mount_disk", "fstype"): (NO_DISKS, ("disks", 1, "fstype")),
    ("keep_changes", "fstype"): (NO_LAYERS, ("disks", 0, "fstype")),
    ("mount_disk", "options"): (("a\nb", "a\x00b", "\u00fc", ""), ("disks", 1, "options")),
    ("hostname", "name"): ((*NO_NAMES, "a_b", "a.b"), ("hostname",)),
    ("host", "name"): (NO_NAMES, ()),
    ("host", "address"): (NO_ADDRESSES, ("hosts", "there")),
    ("nameserver", "address"): (NO_ADDRESSES, ("dns", 0)),
    ("before", "script"): (("", "#" * 131_072, "a\x00"), ("entrypoint", "before")),
    ("user", "user"): (NO_WORDS, ("entrypoint", "user")),
    ("interface", "name"): (("", "a b", "a/b", "a\n", "\u00fc"), ()),
}
CASES = [(*row, value) for row, (values, _) in BAD.items() for value in values]


@cache
def _text(box: str, target: str = "2") -> str:
    chosen = api.target(target)
    assert chosen is not None
    return to_text(compile_box("box.yaml", box, Inputs(chosen)))


def plan_of(box: dict[str, Any]) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(_text(json.dumps(box)))
    return plan


def refused(plan: dict[str, Any]) -> str:
    """What the launcher says of PLAN; empty when it takes it."""
    try:
        verify(plan)
    except PlanRefused as error:
        return json.dumps([[list(path), words] for path, words in error.findings])
    return ""


@pytest.mark.parametrize("box", [BOX, DISK_ROOT, BARE_ROOT])
def test_the_plans_are_good(box: dict[str, Any]) -> None:
    assert refused(plan_of(box)) == ""


@pytest.mark.parametrize(("name", "param", "value"), CASES)
def test_no_plan_has_it(name: str, param: str, value: str) -> None:
    plan = plan_of(BOX)
    at, row = next((i, row) for i, row in enumerate(plan["operations"]) if row.get("order") == name)
    row["args"][param] = value
    assert json.dumps(["operations", at, "args", param])[:-1] in refused(plan)


BOXED = [(*row, value) for row, (values, keys) in BAD.items() if keys for value in values]


@pytest.mark.parametrize(("name", "param", "value"), BOXED)
def test_no_box_says_it(name: str, param: str, value: str) -> None:
    """Where a box may write it in another way, the plan has the one way."""
    box = json.loads(json.dumps(BOX))
    *above, last = BAD[name, param][1]
    place = box
    for key in above:
        place = place[key]
    place[last] = value
    try:
        text = _text(json.dumps(box))
    except Rejected:
        return
    rows = [row for row in json.loads(text)["operations"] if row.get("order") == name]
    assert value not in [row["args"][param] for row in rows]
    assert refused(json.loads(text)) == ""


@pytest.mark.parametrize("fstype", TABLE["no_disks"].split())
@pytest.mark.parametrize(
    ("box", "name"), [(DISK_ROOT, "root_disk"), (BARE_ROOT, "krun_set_root_disk_remount")]
)
def test_no_root_is_something_else_than_its_disk(
    box: dict[str, Any], name: str, fstype: str
) -> None:
    """Of virtiofs the device is the tag of a share, which may be called /dev/vda."""
    plan = plan_of(box)
    (row,) = (row for row in plan["operations"] if name in (row.get("order"), row.get("call")))
    row["args"]["fstype"] = fstype
    assert "a file system of no disk" in refused(plan)
    spoiled = json.dumps({**box, "rootfs": {**box["rootfs"], "fstype": fstype}})
    with pytest.raises(Rejected):
        _text(spoiled)


LONG = "#" * 131_072


@pytest.mark.parametrize(
    ("entrypoint", "args"),
    [
        ({"executable": "/bin/a", "args": ["a", LONG]}, {"argv": ["a", LONG]}),
        ({"executable": "/bin/a", "env": {"A": LONG}}, {"envp": {"A": LONG}}),
        ({"script": LONG}, {"argv": ["-c", LONG]}),
    ],
)
def test_what_linux_starts_no_program_with(
    entrypoint: dict[str, Any], args: dict[str, Any]
) -> None:
    """See execve(2): an argument, or a variable, has at most 32 pages (MAX_ARG_STRLEN)."""
    with pytest.raises(Rejected):
        _text(json.dumps({**BOX, "entrypoint": entrypoint}))
    plan = plan_of(BOX)
    (row,) = (row for row in plan["operations"] if row.get("order") == "program")
    row["args"] = {**row["args"], **args}
    assert "bytes; allowed: 0 to 13" in refused(plan)


def test_every_text_of_an_order_says_what_may_stand_in_it() -> None:
    """So that a new order cannot forget it."""
    for name, row in TABLE["orders"].items():
        for param in row["params"]:
            if param["kind"] == "text" and (name, param["name"]) not in FREE:
                held = {"charset", "path", "names"} & set(param)
                assert held, f"{name}.{param['name']}"
            if param["name"] == "path":
                assert param["outside"] is True
            if param["name"] == "fstype":
                layer = " no_layers" if name == "keep_changes" else ""
                assert param["not_of"] == f"no_disks{layer}"


def test_a_review_reads_no_such_plan_either() -> None:
    plan = plan_of(BOX)
    for row in plan["operations"]:
        if row.get("order") == "hostname":
            row["args"]["name"] = "a\nb"
    with pytest.raises(Rejected):
        read_plan("box.plan.json", json.dumps(plan))


DISK: dict[str, Any] = {"id": "d", "path": "./d.img", "format": "raw"}
_ROOTS: list[dict[str, Any]] = [
    {}, {"options": "ro"}, {"options": "noatime,ro"}, {"read_only": True}, {"changes": "host"},
    {"changes": "discard"}, {"changes": "discard", "options": "ro"},
]  # fmt: skip


def _rooted(more: dict[str, Any], read_only: bool) -> dict[str, Any]:
    root: dict[str, Any] = {"disk": "d", **more}
    return {"rootfs": root, "disks": [{**DISK, "read_only": read_only}]}


STATED: list[dict[str, Any]] = [
    *({"entrypoint": {"executable": "/bin/a", "workdir": path}}
      for path in ("/a/", "/a//b", "/.", "//", "//a", "/a/../b", "/a/./b/", "/..", "/a/b/../../..")),
    *(_rooted(more, read_only) for read_only in (True, False) for more in _ROOTS),
    *({"rootfs": {"disk": "d", "device": f"/dev/vda{part}"}, "disks": [DISK]}
      for part in ("", "1", "15", "0", "01", "\u0661", "\u00b2", "1a", "99999999999999", "p1", " 1")),
    *({"disks": [{"id": f"d{i}", "path": f"./{i}.img", "format": "raw", "mount": f"/m{i}"}
                 for i in range(number)], "arch": "arm64"} for number in (26, 27, 28, 54)),
]  # fmt: skip


@pytest.mark.parametrize("stated", STATED, ids=json.dumps)
@pytest.mark.parametrize("target", ["1", "2"])
def test_what_the_compiler_makes_the_launcher_takes(stated: dict[str, Any], target: str) -> None:
    """Or it says at the key what is wrong: no plan is made that is refused later."""
    staged = {key: BOX[key] for key in ("krunc", "name", "target", "hostname")}
    small = {
        "rootfs": {"path": "./r"},
        "entrypoint": {"executable": "/a"},
        "network": {"mode": "none"},
    }
    box: dict[str, Any] = {**staged, **small, **stated}
    try:
        text = _text(json.dumps(box), target)
    except Rejected:
        return
    assert refused(json.loads(text)) == ""


def test_disks_are_named_as_linux_counts() -> None:
    disks = [
        {"id": f"d{i}", "path": f"./{i}.img", "format": "raw", "mount": f"/m{i}"} for i in range(54)
    ]
    box = {**BOX, "rootfs": {"path": "./r"}, "disks": disks, "arch": "arm64"}
    plan = json.loads(_text(json.dumps(box)))
    rows = [row["args"] for row in plan["operations"] if row.get("order") == "mount_disk"]
    names = {row["path"]: row["device"] for row in rows}
    assert [names[f"/m{i}"] for i in (0, 25, 26, 27, 51, 52)] == [
        "/dev/vda", "/dev/vdz", "/dev/vdaa", "/dev/vdab", "/dev/vdaz", "/dev/vdba",
    ]  # fmt: skip
