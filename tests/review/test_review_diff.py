"""What a difference says, and that nothing that opens is ever called anything else."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.change_sheet import change_sheet, difference_document
from krunc_compiler.review.difference import EFFECTS, FOLLOWING, compare
from krunc_compiler.review.fact import KINDS, Fact
from krunc_compiler.review.isolation import taken_by
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text
from krunc_compiler.review.words import plain
from places import ROOT
from reviews import BOX, call, compiled, plan, reviewed, reviewed_box, step

TSI = {"mode": "tsi"}
SHARE = {"tag": "src", "path": "./src"}
STREAM = {"mode": "unixstream", "socket": "runtime:net"}
PROGRAM = {"executable": "/bin/a"}


def box(**keys: Any) -> dict[str, Any]:
    return {**BOX, **keys}


def env(**variables: Any) -> dict[str, Any]:
    return {"entrypoint": {**PROGRAM, "env": variables}}


SECRET = {"from_env": "TOKEN"}
# The keys of the old and of the new box, and the first change: its effect and what it says.
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"shares": [SHARE]}, {"shares": [{**SHARE, "read_only": False}]}, "widens directory src (share src): read -> write"),
    ({"shares": [{**SHARE, "read_only": False}]}, {"shares": [SHARE]}, "narrows directory src (share src): write -> read"),
    ({}, {"shares": [SHARE]}, "widens directory src (share src)"),
    ({"shares": [SHARE]}, {}, "narrows removed: directory src (share src)"),
    ({"shares": [SHARE]}, {"shares": [{**SHARE, "path": "/etc"}]}, "widens directory src (share src) -> directory /etc (share src)"),
    ({"shares": [SHARE]}, {"shares": [{**SHARE, "tag": "code"}]}, "alters removed: directory src (share src)"),
    ({"shares": [SHARE]}, {"shares": [{**SHARE, "path": "./src/."}]}, ""),
    ({"shares": [{**SHARE, "path": "runtime:a"}]}, {"shares": [{**SHARE, "path": "./runtime:a"}]}, "widens directory runtime:a (share src) -> directory ./runtime:a (share src)"),
    ({}, {"network": TSI}, "widens any address that the host user can reach, including localhost (TSI)"),
    ({"network": TSI}, {}, "narrows removed: any address that the host user can reach, including localhost (TSI)"),
    ({"network": TSI}, {"network": {"mode": "tsi", "ports": ["8080:80"]}}, "widens host port 8080 to guest port 80, on the address that the guest binds (0.0.0.0: *:8080)"),
    ({"network": {"mode": "tsi", "ports": ["8080:80"]}}, {"network": {"mode": "tsi", "ports": ["8080:22"]}}, "widens host port 8080 to guest port 80, on the address that the guest binds (0.0.0.0: *:8080) -> host port 8080 to guest port 22, on the address that the guest binds (0.0.0.0: *:8080)"),
    ({"network": {"mode": "tsi", "ports": ["8080:80"]}}, {"network": {"mode": "tsi", "ports": "all"}}, "widens every port that the guest listens on is opened here, on the address that it binds"),
    ({"network": {"mode": "tsi", "ports": "all"}}, {"network": {"mode": "tsi", "ports": ["8080:80"]}}, "alters host port 8080 to guest port 80, on the address that the guest binds (0.0.0.0: *:8080)"),
    ({}, {"network": STREAM}, "widens through the network backend at runtime:net (eth0)"),
    ({"network": STREAM}, {"network": {**STREAM, "socket": "/run/other"}}, "widens through the network backend at runtime:net (eth0) -> through the network backend at /run/other (eth0)"),
    ({"network": STREAM}, {"network": {**STREAM, "features": []}}, "alters MAC 5a:94:ef:e4:0c:ee, libkrun's usual offloads (eth0) -> MAC 5a:94:ef:e4:0c:ee, no offloads (eth0)"),
    ({"network": STREAM}, {"network": TSI}, "widens any address that the host user can reach, including localhost (TSI)"),
    (env(A="x"), env(A=SECRET), "widens variable TOKEN as A (in the guest's /proc/cmdline)"),
    (env(A=SECRET), env(A="x"), "alters A from the launcher's TOKEN -> A=x"),
    (env(A=SECRET), env(B=SECRET), "alters removed: variable TOKEN as A (in the guest's /proc/cmdline)"),
    (env(A=SECRET), env(A={"from_env": "OTHER"}), "widens variable TOKEN as A (in the guest's /proc/cmdline) -> variable OTHER as A (in the guest's /proc/cmdline)"),
    (env(A="x"), env(A="y"), "alters A=x -> A=y"),
    ({"machine": {"cpus": 2}}, {"machine": {"cpus": 3}}, "widens 2 -> 3"),
    ({"machine": {"memory": "2GiB"}}, {"machine": {"memory": "1GiB"}}, "narrows 2048 MiB -> 1024 MiB"),
    ({"rootfs": {"path": "/a"}}, {"rootfs": {"path": "/b"}}, "widens directory /a (the guest's root) -> directory /b (the guest's root)"),
    ({}, {"disks": [{"id": "d", "path": "d.img", "format": "raw", "read_only": True}]}, "widens raw disk d.img (d, /dev/vda)"),
    ({"disks": [{"id": "d", "path": "d.img", "format": "raw"}]}, {"disks": [{"id": "d", "path": "d.img", "format": "qcow2"}]}, "widens raw disk d.img (d, /dev/vda) -> qcow2 disk d.img (d, /dev/vda)"),
    ({"disks": [{"id": "d", "path": "d.img", "format": "qcow2"}]}, {"disks": [{"id": "d", "path": "d.img", "format": "raw"}]}, "narrows qcow2 disk d.img (d, /dev/vda) -> raw disk d.img (d, /dev/vda)"),
    ({"vsock": [{"port": 5, "socket": "/s", "listen": True}]}, {"vsock": [{"port": 5, "socket": "/s", "listen": False}]}, "widens listen host socket /s to guest vsock port 5 -> connect host socket /s from guest vsock port 5"),
    ({}, {"console": {"output": "/c"}}, "widens stdio the launcher's stdin, stdout and stderr (console) -> write file /c (console)"),
    ({}, {"entrypoint": {"executable": "/bin/b"}}, "alters /bin/a -> /bin/b"),
    ({}, {"limits": {"nproc": "1:2"}}, "alters nofile 1048576:1048576, nproc 4096:8192 (does not hold the guest's root) -> nofile 1048576:1048576, nproc 1:2 (does not hold the guest's root)"),
    ({}, {"log": {"level": "debug"}}, "neutral level error, on the launcher's stderr -> level debug, on the launcher's stderr"),
    ({}, {"name": "two"}, "neutral box one -> two"),
    ({"console": {"output": "runtime:c"}}, {"name": "two", "console": {"output": "runtime:c"}}, "widens file runtime:c (console); runtime: is the directory of another box"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), CHANGES, ids=range(len(CHANGES)))
def test_first_change(old: dict[str, Any], new: dict[str, Any], said: str) -> None:
    difference = compare(reviewed_box(box(**old)), reviewed_box(box(**new)))
    first = [f"{change.effect} {change.text}" for change in difference.changes[:1]]
    assert first == ([said] if said else [])
    if not said:
        assert not difference.pairs


# The same of operations that no box makes yet.
UNDERNEATH: list[tuple[list[dict[str, Any]], list[dict[str, Any]], str]] = [
    ([call("krun_setuid", uid=1), call("krun_setgid", gid=1)], [], "widens user: isolated -> exposed: the VMM runs as the host user"),
    ([], [call("krun_setuid", uid=1), call("krun_setgid", gid=1)], "alters the VMM runs with uid 1"),
    ([call("krun_setuid", uid=1)], [call("krun_setuid", uid=2)], "widens user: the VMM runs as uid 1 and the host user's gid -> the VMM runs as uid 2 and the host user's gid"),
    ([], [call("krun_set_nested_virt", enabled=True)], "widens the guest can run VMs of its own"),
    ([call("krun_set_gpu_options", virgl_flags=["venus"])], [call("krun_set_gpu_options", virgl_flags=["venus", "drm"])], "widens the host's GPU through virglrenderer (venus) -> the host's GPU through virglrenderer (venus, drm)"),
    ([call("krun_surprise", a=1)], [call("krun_surprise", a=2)], "widens unknown call krun_surprise {a: 1} -> unknown call krun_surprise {a: 2}"),
    ([call("krun_surprise", a=1)], [], "narrows removed: unknown call krun_surprise {a: 1}"),
    ([step("open_device", path="/dev/x", name="n", access="read")], [step("open_device", path="/dev/x", name="n", access="read-write")], "widens /dev/x (n, read) -> /dev/x (n, read-write)"),
    ([{"implicit": "vsock_with_tsi"}], [{"implicit": "vsock_with_tsi"}, call("krun_set_egress_policy", cidrs=["10.0.0.0/8"])], "narrows any address that the host user can reach, including localhost (TSI) -> only to 10.0.0.0/8 (TSI)"),
    ([call("krun_set_egress_policy", cidrs=["a"])], [call("krun_set_egress_policy", cidrs=["a", "b"])], "widens only to a (TSI); localhost and 169.254.0.0/16 are among them -> only to a, b (TSI); localhost and 169.254.0.0/16 are among them"),
    ([call("krun_set_port_map", port_map=["*"])], [call("krun_set_port_map", port_map=["*", "1:1"])], "widens host port 1 to guest port 1, on the address that the guest binds (0.0.0.0: *:1)"),
    ([step("require_directory", path="a", access="read")], [], "neutral host checks: removed require_directory a read"),
    ([call("krun_create_ctx"), step("require_hypervisor")], [step("require_hypervisor"), call("krun_create_ctx")], "neutral in another order: krun_create_ctx"),
    ([call("krun_init_log", target_fd="stderr", level="error", style="auto", options=[])], [call("krun_init_log", target_fd="stderr", level="error", style="never", options=[])], "neutral level error, on the launcher's stderr -> level error, on the launcher's stderr, style never"),
    ([], [call("krun_disable_implicit_console")], "neutral added: krun_disable_implicit_console"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), UNDERNEATH, ids=range(len(UNDERNEATH)))
def test_first_change_of_operations(
    old: list[dict[str, Any]], new: list[dict[str, Any]], said: str
) -> None:
    difference = compare(reviewed(*old), reviewed(*new))
    assert [f"{change.effect} {change.text}" for change in difference.changes[:1]] == [said]


def test_a_new_plan_opens_all_that_it_reaches() -> None:
    new = reviewed_box(box(network=TSI))
    opens = {(c.kind, c.new) for c in compare(None, new).of("widens")}
    assert {(fact.kind, fact) for fact in new.exposure} <= opens
    assert not compare(None, new).of("narrows")
    assert not compare(new, None).of("widens")
    assert compare(None, None).changes == ()


def test_a_moved_disk_is_another_device_of_the_guest() -> None:
    disks = [{"id": name, "path": f"{name}.img", "format": "raw"} for name in "abc"]
    one, two = box(disks=disks), box(disks=[disks[1], disks[2], disks[0]])
    difference = compare(reviewed_box(one), reviewed_box(two))
    assert not difference.of("widens")
    assert [change.text for change in difference.of("alters")] == [
        "raw disk a.img (a, /dev/vda) -> raw disk a.img (a, /dev/vdc)",
        "raw disk b.img (b, /dev/vdb) -> raw disk b.img (b, /dev/vda)",
        "raw disk c.img (c, /dev/vdc) -> raw disk c.img (c, /dev/vdb)",
    ]
    assert [change.text for change in difference.of("neutral")] == [
        "in another order: require_file a.img"
    ]
    assert all(pair.moved and not pair.changed for pair in difference.pairs)


def test_a_moved_disk_that_is_the_root_is_another_root() -> None:
    disks = [call("krun_add_disk", block_id=n, disk_path=f"{n}.img", read_only=True) for n in "ab"]
    root = call("krun_set_root_disk_remount", device="/dev/vda1", fstype="ext4", options=None)
    difference = compare(reviewed(*disks, root), reviewed(*disks[::-1], root))
    assert [(change.effect, change.text) for change in difference.changes] == [
        ("alters", "raw disk a.img (a, /dev/vda) -> raw disk a.img (a, /dev/vdb)"),
        ("alters", "raw disk b.img (b, /dev/vdb) -> raw disk b.img (b, /dev/vda)"),
        ("alters", "disk /dev/vda1 (a.img), ext4 -> disk /dev/vda1 (b.img), ext4"),
    ]  # fmt: skip


def test_the_worst_comes_first() -> None:
    new = box(
        network={"mode": "tsi", "ports": ["1:1"]},
        shares=[{**SHARE, "read_only": False}, {"tag": "ro", "path": "/ro"}],
        **env(A=SECRET),
    )
    difference = compare(reviewed_box(box(machine={"cpus": 9})), reviewed_box(new))
    order = [KINDS.index(kind) for c in difference.of("widens") for kind in KINDS if kind.name == c.kind]  # fmt: skip
    assert order == sorted(order)
    effects = [EFFECTS.index(change.effect) for change in difference.changes]
    assert effects == sorted(effects)


def test_a_plan_edited_by_hand_shows_what_it_would_do() -> None:
    committed = json.loads((ROOT / "boxes" / "build.plan.json").read_text("utf-8"))
    edited = copy.deepcopy(committed)
    for row in edited["operations"]:
        if row.get("call") == "krun_add_virtiofs3":
            row["args"]["read_only"] = False
    old, new = (review(read_plan("p", json.dumps(value))) for value in (committed, edited))
    assert compare(old, new).of("widens")[0].kind == "write"


# Boxes that differ in a few things, and an oracle that knows of boxes alone.
_PATHS = st.sampled_from(["./a", "./b", "/c"])
_SHARES = st.dictionaries(st.sampled_from("stu"), st.tuples(_PATHS, st.booleans()), max_size=2)
_DISKS = st.dictionaries(
    st.sampled_from("xy"),
    st.tuples(_PATHS, st.booleans(), st.sampled_from(["raw", "qcow2"])),
    max_size=2,
)
_NETWORKS = st.one_of(
    st.just({"mode": "none"}),
    st.builds(
        lambda ports: {"mode": "tsi", "ports": ports},
        st.just("all") | st.lists(st.sampled_from(["1:1", "2:2", "3:4"]), unique=True, max_size=2),
    ),
    st.builds(
        lambda mode, socket: {"mode": mode, "socket": socket},
        st.sampled_from(["unixstream", "unixgram"]),
        st.sampled_from(["/n", "/m"]),
    ),
)
_VSOCK = st.dictionaries(
    st.sampled_from([5, 6]), st.tuples(st.sampled_from("pq"), st.booleans()), max_size=2
)
_ENV = st.dictionaries(
    st.sampled_from("AB"),
    st.sampled_from(["x", "y", {"from_env": "S"}, {"from_env": "T"}]),
    max_size=2,
)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    shares, disks, ports = draw(_SHARES), draw(_DISKS), draw(_VSOCK)
    return box(
        machine={"cpus": draw(st.sampled_from([1, 2])), "memory": "1GiB"},
        rootfs={"path": draw(_PATHS)},
        shares=[{"tag": t, "path": p, "read_only": ro} for t, (p, ro) in shares.items()],
        disks=[
            {"id": i, "path": p + i, "read_only": ro, "format": f}
            for i, (p, ro, f) in disks.items()
        ],
        network=draw(_NETWORKS),
        vsock=[
            {"port": port, "socket": f"/{socket}{port}", "listen": listen}
            for port, (socket, listen) in ports.items()
        ],
        entrypoint={**PROGRAM, "env": draw(_ENV), "args": draw(st.sampled_from([[], ["x"]]))},
        console={"output": "/console"} if draw(st.booleans()) else {},
    )


def reached(value: dict[str, Any]) -> set[tuple[str, ...]]:
    """What a box reaches of the host, by its keys."""
    found: set[tuple[str, ...]] = {("write", "directory", value["rootfs"]["path"])}
    found |= {("cpu", str(number)) for number in range(value["machine"]["cpus"])}
    for share in value["shares"]:
        found.add(("read" if share["read_only"] else "write", "directory", share["path"]))
    for disk in value["disks"]:
        verb = "read" if disk["read_only"] else "write"
        found.add((verb, "disk", disk["path"]))
        if disk["format"] == "qcow2":  # it can name further files, a raw one cannot
            found.add((verb, "qcow2", disk["path"]))
    network = value["network"]
    if network["mode"] == "tsi":
        found.add(("tsi",))
        ports = ["1:1", "2:2", "3:4", "all"] if network["ports"] == "all" else network["ports"]
        found |= {("port", port) for port in ports}
    elif network["mode"] != "none":
        found.add((network["mode"], network["socket"]))
    for port in value["vsock"]:
        found.add(("listen", port["socket"]) if port["listen"] else ("connect", port["socket"]))
    for variable in value["entrypoint"]["env"].values():
        if isinstance(variable, dict):
            found.add(("secret", variable["from_env"]))
    found.add(("write", "file", "/console") if value["console"] else ("stdio",))
    return found | {("read", *rest) for verb, *rest in found if verb == "write"}


@settings(max_examples=150)
@given(boxes(), boxes(), st.sampled_from(["1", "2"]))
def test_what_opens_is_never_called_anything_else(
    old: dict[str, Any], new: dict[str, Any], target: str
) -> None:
    difference = compare(reviewed_box(old, target), reviewed_box(new, target))
    opens = [change for change in difference.of("widens") if change.kind != "launcher"]
    assert bool(opens) == bool(reached(new) - reached(old))
    if reached(new) < reached(old):
        assert difference.of("narrows")
    for change in difference.changes:
        if change.effect != "widens" and change.new:
            assert all(map(difference.old.reached().covers, change.new.reach))  # type: ignore[union-attr]


@settings(max_examples=100)
@given(boxes(), boxes(), st.sampled_from(["1", "2"]))
def test_a_lost_isolation_is_told_by_the_host_access_that_takes_it(
    old: dict[str, Any], new: dict[str, Any], target: str
) -> None:
    """It has no line of its own, so the change behind it has to widen. The roots of these boxes can
    always be written."""
    one, two = reviewed_box(old, target), reviewed_box(new, target)
    changes = compare(one, two).changes
    had = {fact.subject: fact.held for fact in one.isolation}
    for fact in two.isolation:
        if had[fact.subject] and not fact.held:
            causes = [c for c in changes if c.new and c.new.operation == fact.operation]
            assert [change for change in causes if change.effect == "widens"]
    assert not {(c.new.kind, c.new.subject) for c in changes if c.new} & FOLLOWING


def _root(path: str) -> dict[str, Any]:
    args = {"tag": "/dev/root", "path": path, "shm_size": 0, "read_only": True}
    return call("krun_add_virtiofs3", **args)


def _disk(name: str, path: str, read_only: bool) -> dict[str, Any]:
    return call("krun_add_disk", block_id=name, disk_path=path, read_only=read_only)


def _by(device: str) -> dict[str, Any]:
    """The root is on a disk that the guest calls DEVICE."""
    args = {"device": f"/dev/vd{device}", "fstype": "ext4", "options": None}
    return call("krun_set_root_disk_remount", **args)


# For each isolation, operations that take it away; those in front are in the old plan, too, so that
# nothing new is reached.
_OUT = call("krun_add_virtiofs", tag="out", path="out")
TAKING: dict[str, list[tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "network": [([], [], [{"implicit": "vsock_with_tsi"}])],
    "ports": [([], [], [call("krun_set_port_map", port_map=["1:1"])])],
    "sockets": [([], [], [call("krun_set_control_socket", socket_path="/c")])],
    "files": [([], [], [_OUT])],
    "root": [
        ([_OUT], [_root("root")], [_root("out")]),
        ([_OUT], [_root("root")], [_root("out/a")]),
        ([_OUT, _disk("b", "out/x", True)], [_root("root")], [_by("a")]),
        ([_disk("a", "a", True), _disk("b", "b", False), _disk("c", "b", True)], [_by("a")], [_by("c")]),
        ([_root("root")], [], [call("krun_add_virtiofs", tag="out", path="..")]),
        ([], [], [_OUT, _root("out")]),
        ([], [], [call("krun_set_root", root_path="out")]),
    ],
    "guest_user": [([], [], [call("krun_set_exec", exec_path="/a", argv=[], envp={})])],
    "secrets": [([], [], [call("krun_set_env", envp={"A": {"from_env": "B"}})])],
    "devices": [
        ([], [], [call("krun_set_snd_device", enable=True)]),
        ([], [], [_disk("a", "/dev/sda", True)]),
    ],
    "kernel": [([], [], [call("krun_set_firmware", firmware_path="f")])],
    "nesting": [([], [], [call("krun_set_nested_virt", enabled=True)])],
    "environment": [([], [], [_root("/")])],
}  # fmt: skip


def test_each_isolation_that_follows_from_access_has_a_row() -> None:
    assert {("isolation", (name,)) for name in TAKING} == FOLLOWING


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in TAKING for i in range(len(TAKING[name]))])  # fmt: skip
def test_a_lost_isolation_widens(name: str, number: int) -> None:
    """By the access that takes it, or, where that is no news, by a line of its own."""
    both, old, new = TAKING[name][number]
    one, two = reviewed(*both, *old), reviewed(*both, *new)
    was, now = ({fact.subject[0]: fact for fact in side.isolation}[name] for side in (one, two))
    assert was.held
    assert not now.held
    told = compare(one, two).of("widens")
    assert {name} & {part for change in told if change.new for part in _takes(change.new)}


def _takes(fact: Fact) -> set[str]:
    """The isolations that a fact tells of, or takes away by itself."""
    if fact.kind == "isolation":
        return {fact.subject[0]}
    return {name for reach in fact.reach for name in taken_by(reach)}


@settings(max_examples=60)
@given(boxes(), boxes(), st.sampled_from(["1", "2"]))
def test_no_change_is_an_equal_digest(
    old: dict[str, Any], new: dict[str, Any], target: str
) -> None:
    one, two = reviewed_box(old, target), reviewed_box(new, target)
    assert bool(compare(one, two).changes) == (one.digest != two.digest)
    assert compare(one, one).changes == ()
    # There and back: what one direction opens, the other closes.
    assert bool(compare(one, two).pairs) == bool(compare(two, one).pairs)


def shuffled(value: Any, chance: random.Random) -> Any:
    """VALUE with the keys of its maps in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@settings(max_examples=60)
@given(boxes(), st.randoms(use_true_random=False), st.sampled_from([None, 1, 4]))
def test_layout_and_keys_of_the_box_do_not_count(
    value: dict[str, Any], chance: random.Random, indent: int | None
) -> None:
    text = compiled(value)
    other = shuffled(json.loads(text), chance)
    for row in other["operations"]:
        row["from"] = "elsewhere"
    other["box_digest"] = "sha256:" + "1" * 64
    one = review(read_plan("a", text))
    two = review(read_plan("b", json.dumps(other, indent=indent, ensure_ascii=indent is None)))
    assert one.digest == two.digest
    assert compare(one, two).changes == ()


@settings(max_examples=200)
@given(st.data())
def test_any_two_lists_of_operations(data: st.DataObject) -> None:
    """Also of plans that no launcher would take: a difference is empty only for equal meaning."""
    known = [
        call("krun_add_virtiofs", tag="a", path="x"),
        call("krun_add_virtiofs", tag="b", path="x"),
        call("krun_add_virtiofs", tag="a", path="y"),
        call("krun_create_ctx"),
        step("require_hypervisor"),
        step("open_file", path="f", name="n"),
        {"implicit": "rng"},
    ]
    lists = st.lists(st.sampled_from(known), max_size=6)
    old, new = data.draw(lists), data.draw(lists)
    one, two = review(plan(*old)), review(plan(*new))
    difference = compare(one, two)
    assert bool(difference.changes) == (old != new)
    to_text(change_sheet(difference))
    json.dumps(difference_document(difference))


def test_what_libkrun_is_built_with_is_told_by_names() -> None:
    """Not as the text of a list."""
    disk = {"disks": [{"id": "a", "path": "./a.img", "format": "raw"}]}
    old, new = reviewed_box({**BOX, **disk}), reviewed_box(BOX)
    made = compare(old, new).changes
    told = {plain(change.sentence) for change in made if change.kind == "metadata"}
    assert "features blk -> none" in told


PASST = {"mode": "passt"}
# The keys of the old and of the new box, and the keys beside what widens.
AT: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({}, {"confine": "off"}, {"confine"}),
    ({"confine": "required"}, {"confine": "off"}, {"confine"}),
    ({"run_as": {"uid": 1000, "gid": 1000}}, {}, {"run_as.uid", "rootfs.path"}),
    (
        {"network": PASST},
        {"network": {**PASST, "ports": ["8080:80"], "host_loopback": True}},
        {"network.ports", "network.host_loopback"},
    ),
    ({"network": PASST}, {"network": {**PASST, "ports": ["8080:80/udp"]}}, {"network.ports"}),
    ({}, {"network": PASST}, {"network"}),
]


@pytest.mark.parametrize(("old", "new", "keys"), AT)
def test_what_widens_has_its_key(old: dict[str, Any], new: dict[str, Any], keys: set[str]) -> None:
    sides = [reviewed_box(box(**one), "2") for one in (old, new)]
    widens = [one for one in compare(*sides).of("widens") if one.kind != "launcher"]
    assert {one.origin for one in widens} == keys


def test_another_libkrun_changes_nothing_into_itself() -> None:
    difference = compare(*(reviewed_box(BOX, target) for target in ("1", "2")))
    assert difference.changes
    for one in difference.changes:
        before, arrow, after = one.text.partition(" -> ")
        assert not arrow or before != after
