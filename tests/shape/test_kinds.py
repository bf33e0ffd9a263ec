"""What a value of each kind may be is the same wherever it is asked: the launcher's verifier, the
plan's schema, and the box's schema with the compiler's rules behind it."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
from generate_runs import runs
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.kinds import kind_schema
from krunc_compiler.plan.operation import KINDS as KINDS_OF_OPERATIONS
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.plan.schema import head_schema, operation_schemas
from krunc_compiler.shape.fast_checking import acceptor
from krunc_compiler.shape.misfits import validator
from krunc_compiler.values.inputs import Inputs
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify
from krunc_schema import load
from whole_boxes import IMAGE_ALONE
from whole_boxes import NAME as WITH_LOCK
from yaml import safe_load

PLAN = load("plan")
KINDS = PLAN["kinds"]
# A key of these takes the place of the one that stands there.
NAME = "the name of a key"

DIRECTORY = {
    "krunc": 1,
    "name": "one",
    "machine": {"oem_strings": ["o"], "tee": "./tee.json"},
    "boot": {
        "kernel": {
            "path": "./vmlinux",
            "format": "elf",
            "initramfs": "./initrd",
            "cmdline": "console=hvc0",
        },
    },
    "rootfs": {"path": "./rootfs", "overlay": [{"path": "/h", "base64": "aGk="}, {"path": "/g", "file": "./g"}]},
    "shares": [{"tag": "t", "path": "./a", "read_only": False}],
    "disks": [{"id": "d", "path": "a.img", "format": "raw"}],
    "network": {"mode": "tsi", "ports": ["8080:80"]},
    "vsock": [{"port": 5000, "socket": "runtime:a", "listen": True}],
    "vhost_user": [{"type": "rng", "socket": "./v", "name": "noise", "queue_sizes": [64]}],
    "limits": {"nofile": "1:2"},
    "console": {"output": "./out", "kernel": "hvc0"},
    "log": {"target": {"fd": 7}},
}  # fmt: skip
PROGRAM = {
    "entrypoint": {
        "executable": "/bin/a",
        "args": ["b"],
        "env": {"A": "x", "B": {"from_env": "C"}, "D": {"from_file": "./d"}, "E": {"from_fd": 9}},
        "workdir": "/w",
    },
}
STREAM = {"mode": "unixstream", "fd": 5, "mac": "02:00:00:00:00:01", "features": ["csum"]}
DEVICES = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./rootfs"},
    "disks": [{"id": "d", "path": "a.img", "format": "raw"}],
    "network": {"mode": "devices", "devices": [STREAM, {"mode": "tap", "device": "lo", "mac": "02:00:00:00:00:02"}]},
    "gpu": {"flags": ["venus"]},
    "displays": [{"width": 1, "height": 1, "edid": "./edid"}],
    "input_devices": [{"device": "/dev/null"}, {"fd": 8}],
    "console": {"devices": [{"type": "multiport", "ports": [{"name": "p", "input": "stdin", "output": {"file": "./o"}}]}]},
    **PROGRAM,
}  # fmt: skip
ROOT_DISK = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"disk": "d", "device": "/dev/vda1", "fstype": "ext4", "options": "noatime"},
    "disks": [{"id": "d", "path": "a.img", "format": "raw"}],
    "network": {"mode": "tsi"},
    **PROGRAM,
}
PASST = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "passt", "ports": ["8080:80", "5353:53/udp"], "mac": "02:00:00:00:00:03"},
    **PROGRAM,
}
BOXES: dict[str, tuple[dict[str, Any], str]] = {
    "init": ({**DIRECTORY, **PROGRAM}, "1.19.4"),
    "cmdline": ({**DIRECTORY, **PROGRAM, "rootfs": {"path": "./rootfs"}}, "1.18"),
    "devices": (DEVICES, "1"),
    "disk": (ROOT_DISK, "1"),
    "passt": (PASST, "1"),
    "image": (safe_load(IMAGE_ALONE), "1"),
}
del BOXES["cmdline"][0]["vhost_user"]


class At(NamedTuple):
    """A box, the key of a value in it, and the operation and argument that get the value."""

    box: str
    key: str
    plan: str


# Each kind where boxes and plans have it.
PLACES: dict[str, list[At]] = {
    "mac": [
        At("devices", "network/devices/0/mac", "krun_add_net_unixstream/mac"),
        At("devices", "network/devices/1/mac", "krun_add_net_tap/mac"),
        At("passt", "network/mac", "krun_add_net_unixstream/mac"),
    ],
    "port_pair": [At("init", "network/ports/0", "krun_set_port_map/port_map/0")],
    # A box may leave out the address, and names the protocol.
    "published": [At("passt", "", "start_passt/tcp_ports/0"), At("passt", "", "start_passt/udp_ports/0")],
    "ipv4": [At("passt", "", f"start_passt/{name}") for name in ("address", "gateway", "resolver")],
    "limit": [At("init", "limits/nofile", "krun_set_rlimits/rlimits/nofile")],
    "variable": [
        At("cmdline", f"entrypoint/env/A/{NAME}", f"krun_set_exec/envp/A/{NAME}"),
        At("cmdline", "entrypoint/env/B/from_env", "krun_set_exec/envp/B/from_env"),
        At("init", f"entrypoint/env/A/{NAME}", f"krun_fs_add_overlay_file/data/process/env/A/{NAME}"),
        At("init", "entrypoint/env/B/from_env", "krun_fs_add_overlay_file/data/process/env/B/from_env"),
    ],
    "descriptor": [
        At("devices", "network/devices/0/fd", "krun_add_net_unixstream/fd"),
        At("devices", "input_devices/1/fd", "krun_add_input_device_fd/input_fd"),
        At("init", "log/target/fd", "krun_init_log/target_fd"),
        At("cmdline", "entrypoint/env/E/from_fd", "krun_set_exec/envp/E/from_fd"),
        At("init", "entrypoint/env/E/from_fd", "krun_fs_add_overlay_file/data/process/env/E/from_fd"),
    ],
    "queue_size": [At("init", "vhost_user/0/queue_sizes/0", "krun_add_vhost_user_device/queue_sizes/0")],
    "host_path": [
        At("init", "rootfs/path", "krun_set_root/root_path"),
        At("init", "rootfs/overlay/1/file", "krun_fs_add_overlay_file/data/file"),
        At("init", "shares/0/path", "krun_add_virtiofs/path"),
        At("init", "disks/0/path", "krun_add_disk2/disk_path"),
        At("init", "machine/tee", "krun_set_tee_config_file/filepath"),
        At("init", "boot/kernel/path", "krun_set_kernel/kernel_path"),
        At("init", "boot/kernel/initramfs", "krun_set_kernel/initramfs"),
        At("init", "console/output", "krun_set_console_output/filepath"),
        At("init", "entrypoint/env/D/from_file", "krun_fs_add_overlay_file/data/process/env/D/from_file"),
        At("cmdline", "entrypoint/env/D/from_file", "krun_set_exec/envp/D/from_file"),
        At("devices", "input_devices/0/device", "open_device/path"),
        At("passt", "network/program", "start_passt/program"),
        At("devices", "displays/0/edid", "krun_display_set_edid/edid_blob/file"),
        At("devices", "console/devices/0/ports/0/output/file", "open_file/path"),
    ],
    "base64": [At("init", "rootfs/overlay/0/base64", "krun_fs_add_overlay_file/data/base64")],
    "box_name": [At("init", "name", "/box")],
    "digest": [
        At("init", "", "/box_digest"),
        At("image", "", "require_image/manifest"),
        At("image", "", "require_image/config"),
    ],
    "free_variable": [At("image", "", f"program/envp/A-B/{NAME}")],
    "version": [At("init", "", "/target")],
    "release": [At("init", "", "/requires/libkrun")],
}  # fmt: skip
# Texts, whose lengths and characters are those of an argument.
TEXTS = [
    At("init", "shares/0/tag", "krun_add_virtiofs/tag"),
    At("init", "disks/0/id", "krun_add_disk2/block_id"),
    At("init", "vhost_user/0/name", "krun_add_vhost_user_device/name"),
    At("init", "machine/oem_strings/0", "krun_set_smbios_oem_strings/oem_strings/0"),
    At("init", "boot/kernel/cmdline", "krun_set_kernel/cmdline"),
    At("init", "console/kernel", "krun_set_kernel_console/console_id"),
    At("cmdline", "entrypoint/executable", "krun_set_exec/exec_path"),
    At("cmdline", "entrypoint/args/0", "krun_set_exec/argv/0"),
    At("cmdline", "entrypoint/env/A", "krun_set_exec/envp/A"),
    At("cmdline", "entrypoint/workdir", "krun_set_workdir/workdir_path"),
    At("devices", "network/devices/1/device", "krun_add_net_tap/tap_name"),
    At("devices", "console/devices/0/ports/0/name", "krun_add_console_port_inout/name"),
    At("disk", "rootfs/device", "krun_set_root_disk_remount/device"),
    At("disk", "rootfs/fstype", "krun_set_root_disk_remount/fstype"),
    At("disk", "rootfs/options", "krun_set_root_disk_remount/options"),
]
# Of none of the kinds.
ODD: tuple[Any, ...] = (None, True, 1.5, [], {}, ["a"], {"a": "b"})


def put(value: Any, path: str, new: Any) -> Any:
    """A copy of VALUE in which NEW stands at PATH, or is a name there."""
    value = within = deepcopy(value)
    parts: list[Any] = [int(part) if part.isdigit() else part for part in path.split("/")]
    if parts[-1] == NAME:
        *parts, old, _ = parts
        for part in parts:
            within = within[part]
        kept = [(new if key == old else key, item) for key, item in within.items()]
        within.clear()
        within.update(kept)
        return value
    for part in parts[:-1]:
        within = within[part]
    within[parts[-1]] = new
    return value


@cache
def plan_of(box: str) -> str:
    value, target = BOXES[box]
    return compiled(value, target)


def compiled(value: dict[str, Any], target: str) -> str:
    chosen = api.target(target)
    assert chosen is not None
    # JSON is YAML; half of a character is none to YAML's parser.
    return to_text(compile_box(WITH_LOCK, json.dumps(value), Inputs(chosen)))


def in_plan(at: At, new: Any) -> dict[str, Any]:
    """The plan of a box in which NEW stands at its place."""
    plan = json.loads(plan_of(at.box))
    name, _, path = at.plan.partition("/")
    if not name:
        return dict(put(plan, path, new))
    i = row_of(at)
    old = inside(plan["operations"][i]["args"], path)
    plan["operations"][i] = put(plan["operations"][i], f"args/{path}", new)
    for row in plan["operations"]:
        # What is demanded of the host names it too.
        if row.get("step", "").startswith("require") and row.get("args", {}).get("path") == old:
            row["args"]["path"] = new
    return dict(plan)


def row_of(at: At) -> int:
    """The number of the operation in which AT is."""
    name, _, path = at.plan.partition("/")
    for i, row in enumerate(json.loads(plan_of(at.box))["operations"]):
        if name in row.values() and inside(row["args"], path) is not None:
            return i
    raise AssertionError(f"{at.box} has no {at.plan}")


def inside(value: Any, path: str) -> Any:
    """What stands at PATH in VALUE; None when nothing does."""
    for part in path.split("/"):
        if isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif part != NAME:
            return None
    return value


def launcher_takes(plan: dict[str, Any]) -> bool:
    try:
        verify(plan)
    except PlanRefused as refused:
        # That the head is not what the calls need says nothing of a value's form.
        return all("the calls need" in sentence for _, sentence in refused.findings)
    return True


@cache
def schema_of(at: At) -> dict[str, Any]:
    """The schema of the operation in which AT is, or of the plan's head."""
    name = at.plan.partition("/")[0]
    for (_, known), schema in operation_schemas().items():
        if known == name:
            return {**schema, "$defs": head_schema()["$defs"]}
    return head_schema()


def schema_takes(at: At, plan: dict[str, Any]) -> bool:
    value = plan["operations"][row_of(at)] if at.plan[0] != "/" else plan
    answer = bool(validator(schema_of(at)).is_valid(value))
    assert acceptor(schema_of(at)).accepts(value) is answer
    if answer:
        try:
            read_plan("x.plan.json", json.dumps(plan))
        except Rejected as rejected:
            # The head has another version than the calls need.
            assert {item.finding.code for item in rejected.findings} == {"KR405"}
    return answer


def compiler_takes(at: At, new: Any) -> bool:
    value, target = BOXES[at.box]
    try:
        plan = compiled(put(value, at.key, new), target)
    except Rejected:
        return False
    # What a call cannot carry goes to the stage, whose orders have rules of their own.
    call = api.functions().get(at.plan.split("/")[0])
    carried = call is not None and any("command_line" in one.rules for one in call.params)
    return not carried or '{"order": ' not in plan


def answers(at: At, value: Any) -> dict[str, bool]:
    """Who takes VALUE at a place."""
    plan = in_plan(at, value)
    found = {"launcher": launcher_takes(plan), "plan's schema": schema_takes(at, plan)}
    if at.key:
        found["compiler"] = compiler_takes(at, value)
    return found


def long(example: list[Any]) -> str:
    return str(example[0] * example[1])


def examples(name: str) -> list[tuple[Any, bool, bool]]:
    """A kind's examples: whether each is good, and whether JSON Schema can tell."""
    row = KINDS[name]
    found = [(value, True, True) for value in row["good"]]
    found += [(value, False, True) for value in row["bad"]]
    found += [(value, False, False) for value in row.get("bad_beyond_schema", ())]
    for key, tells in (("long", True), ("long_beyond_schema", False)):
        found += [(long(value), good == "good", tells)
                  for good, value in zip(row.get(key, {}), row.get(key, {}).values(), strict=True)
                  ]  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("name", "at"), [(name, at) for name, places in PLACES.items() for at in places]
)
def test_examples(name: str, at: At) -> None:
    assert launcher_takes(json.loads(plan_of(at.box)))
    for value, good, tells in examples(name):
        if at.plan.endswith(NAME) and not isinstance(value, str):
            continue
        if at.plan == "krun_set_exec/envp/D/from_file" and len(value) > 1000:
            continue  # the compiler takes it for as long as the path is
        found = answers(at, value)
        if not tells:
            assert found.pop("plan's schema")
        assert set(found.values()) == {good}, (value, found)


@pytest.mark.parametrize(
    ("name", "at"), [(name, at) for name, places in PLACES.items() for at in places]
)
def test_values_of_no_kind(name: str, at: At) -> None:
    if at.plan.endswith(NAME):
        return
    for value in ODD:
        if value is None and at.plan == "krun_set_kernel/initramfs":
            continue  # there may be none
        found = answers(at, value)
        assert not any(found.values()), (value, found)


def test_every_kind_has_examples_and_a_place() -> None:
    assert set(PLACES) == set(KINDS)
    for row in KINDS.values():
        assert len(row["good"]) > 2 or row is KINDS["digest"]
        assert len(row["bad"]) > 4
        assert row["doc"].endswith(".")
        assert row["source"].endswith(".")


@pytest.mark.parametrize("name", KINDS)
def test_a_kinds_schema_is_its_examples(name: str) -> None:
    slow = validator(kind_schema(name))
    for value, good, tells in examples(name):
        assert slow.is_valid(value) is (good or not tells), value


def rule_of(at: At) -> dict[str, Any]:
    function, argument = at.plan.split("/")[:2]
    rows = load("krun")["functions"][function]["params"]
    return next(row for row in rows if row["name"] == argument)


@pytest.mark.parametrize("at", TEXTS, ids=lambda at: at.plan)
def test_texts(at: At) -> None:
    rule = rule_of(at)
    begin, most = rule.get("prefix", ""), rule.get("max_bytes", 200)
    if at.key == "entrypoint/executable":
        begin = "/"  # of boxes only: libkrun takes others too
    # What the whole of a box leaves room for; vda and its numbers are rules of their own.
    room = min(most, 400)
    good = [begin + "1" * (room - len(begin))]
    bad = ["x" * (most + 1)] if "max_bytes" in rule else []
    bad += [begin + "a\0b", *([""] if rule.get("min_bytes") else [])]
    if "prefix" in rule:
        bad += ["x", begin[:-1] or "dev"]
    if "charset" in rule:
        bad += [f"{begin}\u00e9", f"{begin}\n", f"{begin}\t", f"{begin}1\n"]
        good += [begin + "1!~"] if not begin.startswith("/dev") else []
        (bad if rule["charset"] != "printable_ascii" else good).append(f'{begin}1"')
        (bad if rule["charset"] == "kernel_word" else good).append(f"{begin}1 2")
    elif rule.get("max_bytes"):
        good.append("\u00e9" * (most // 2))
        bad.append("\u00e9" * most)
    if at.key == "boot/kernel/cmdline":
        good = [f"console=hvc0 {text}" for text in good]
    for value in dict.fromkeys(good):
        if at.key == "network/devices/1/device" and set(value) & {"/", " "}:
            continue
        found = answers(at, value)
        if at.key == "rootfs/device":
            found.pop("compiler")
        assert all(found.values()), (value, found)
    for value in (*dict.fromkeys(bad), *ODD[1:]):
        found = answers(at, value)
        # JSON Schema counts characters.
        beyond = isinstance(value, str) and len(value) <= most < len(value.encode())
        if at.plan.startswith("krun_set_exec/envp") and isinstance(value, dict):
            continue
        assert not any(found[who] for who in found if who != "plan's schema" or not beyond), (
            value,
            found,
        )


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (At("devices", "network/devices/0/features", "krun_add_net_unixstream/features"), ["csum", "host_tso4"]),
        (At("devices", "gpu/flags", "krun_set_gpu_options/virgl_flags"), ["venus", "drm"]),
    ],
)  # fmt: skip
def test_flags(at: At, names: list[str]) -> None:
    assert all(answers(at, names).values())
    assert all(answers(at, []).values())
    # JSON Schema could tell, but takes a time that grows with the square of a list.
    twice = answers(at, [*names, names[0]])
    assert twice == {"launcher": False, "plan's schema": True, "compiler": False}
    odd: tuple[Any, ...] = (["x"], [[]], [{}], [None], [1], "csum", {"csum": True})
    for value in odd:
        assert not any(answers(at, value).values()), value


def test_what_a_box_has_beside() -> None:
    """A resource limit may be one number in a box, and the size of a queue is never 0 there."""
    assert compiler_takes(PLACES["limit"][0], 3)
    assert not compiler_takes(PLACES["limit"][0], -1)
    assert not compiler_takes(PLACES["queue_size"][0], 0)


@pytest.mark.parametrize(
    "pattern", ["a|b", "(ab)*", "^a", "a.b", "[a-c]*[c-e]", "[a]*[b]?[a]", "\\d"]
)
def test_a_pattern_that_the_launcher_cannot_walk_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"run|repeated"):
        runs(pattern)


def test_the_plans_facts_stand_once() -> None:
    assert list(KINDS_OF_OPERATIONS) == PLAN["operations"]
    assert load("plan.schema")["properties"]["krunc_plan"]["const"] == PLAN["format"]
