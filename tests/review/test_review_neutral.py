"""Each argument of each operation is judged when it changes, or stands here with a reason."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.files.sha256 import hexdigest
from krunc_compiler.libkrun import Param
from krunc_compiler.review import words
from krunc_compiler.review.difference import Change, compare
from krunc_compiler.review.fact import BY_NAME
from operations import CALLED
from reviews import call, reviewed

# What no change of it can reach, by the reason; a name of "*" is the argument of any operation.
# It alters, though: the guest finds something else.
ALTERS = {
    "what the guest calls a thing": [
        ("*", "tag"), ("*", "block_id"), ("*", "fs_tag"), ("*", "mac"), ("*", "console_id"),
        ("krun_add_console_port_tty", "name"),
        ("krun_add_console_port_inout", "name"), ("krun_add_vhost_user_device", "name"),
        ("krun_add_vsock_port", "port"), ("krun_add_vsock_port2", "port"),
    ],
    "what an image is called, and what is told of it": [
        ("require_image", name) for name in ("reference", "platform", "size", "layers")
    ],
    "how the guest's network is numbered": [
        ("start_passt", name) for name in ("address", "prefix", "gateway", "resolver")
    ],
    "what runs and is seen inside the guest": [
        ("krun_set_exec", "exec_path"), ("krun_set_exec", "argv"), ("*", "workdir_path"),
        ("*", "rlimits"), ("*", "oem_strings"), ("*", "kernel_format"),
        ("*", "fstype"), ("krun_set_root_disk_remount", "options"), ("*", "device"),
        ("krun_fs_add_overlay_file", "path"), ("krun_fs_add_overlay_dir", "path"),
        ("krun_fs_add_overlay_file", "mode"), ("krun_fs_add_overlay_dir", "mode"), ("*", "one_shot"), ("*", "image_type"),
        ("program", "exec_path"), ("program", "argv"),
    ],
    "where it can be launched": [("require_architecture", "architecture")],
    "what the stage does in the guest": [
        ("end_after", "seconds"), ("*", "size_mib"), ("mount_tmpfs", "mode"), ("hostname", "name"),
        # What is attached can be used without a mount (tests/review/test_review_mounts.py).
        *((name, "path") for name in ("mount_tmpfs", "mount_share", "mount_disk")),
        ("host", "name"), ("host", "address"), ("nameserver", "address"),
        ("mount_disk", "options"), ("root_disk", "options"), ("user", "user"),
        # What of the host can be written to is told of the call that attaches it.
        *((name, "access") for name in ("root_share", "root_disk", "mount_share", "mount_disk")),
        *(("interface", name) for name in ("name", "address", "prefix", "gateway")),
    ],
}  # fmt: skip
# Which code the guest runs, by digests.
OTHER_CODE = {
    "which image it is": [("require_image", name) for name in ("path", "manifest", "config")],
}
# Nor does it alter anything that the guest can tell.
NEUTRAL = {
    "what an image weighs, and how it is opened": [("require_image", "layer_bytes"), ("require_image", "access")],
    "what the launcher calls a thing": [("open_device", "name"), ("open_file", "name"), ("start_passt", "name")],
    "how a device works, not what is behind it": [
        ("*", "shm_size"), ("*", "semantics"), ("*", "features"), ("*", "flags"),
        ("*", "direct_io"), ("*", "sync_mode"), ("krun_split_irqchip", "enable"),
        ("*", "num_queues"), ("*", "queue_sizes"), ("*", "width"), ("*", "height"), ("*", "dpi"),
        ("*", "display_id"), ("*", "width_mm"), ("*", "height_mm"), ("*", "refresh_rate"), ("*", "cpu_template"),
    ],
    "libkrun's own words": [("*", "level"), ("*", "style"), ("krun_init_log", "options")],
    "a demand: without a confined VMM it gives nothing": [
        *(("require_directory", name) for name in ("path", "access")),
        *(("require_file", name) for name in ("path", "access")),
        *(("require_socket", name) for name in ("path", "type")),
        ("require_tap", "name"),
    ],
    "when a stop is forced": [
        ("stop_on_sigterm", "grace_s"), ("pass_sigterm", "grace_s"), ("pass_sigterm", "signal"),
    ],
    "what the launcher and the stage agree on": [("report", "port")],
}  # fmt: skip
ARGUMENTS = [
    (kind, name, param)
    for kind, rows in (
        ("call", {name: api.functions()[name].params for name in CALLED}),
        ("step", api.steps()),
        ("order", api.orders()),
    )
    for name, params in rows.items()
    for param in params
    if param.kind not in ("context", "length")
]


def values(param: Param) -> list[Any]:
    """Arguments for a parameter, the plainest first."""
    rules = param.rules
    match param.kind:
        case "bytes":
            return [{"text": "x"}, {"text": "y"}, {"file": "f"}]
        case "env":
            return [{}, *({"A": {f"from_{one}": "S"}} for one in ("env", "file")), {"A": {"from_fd": 7}}]  # fmt: skip
        case "texts":
            return [["a"], ["b"], []]
        case "published":
            return [[], ["127.0.0.1:1:1"], ["127.0.0.1:1:2"], ["192.0.2.1:1:1"]]
        case "port_map":
            return [[], ["1:1"], ["2:1"]]
        case "rlimits":
            return [{"nproc": "1:1"}, {"nproc": "2:2"}]
        case "flags":
            names = rules.get("only") or list(api.table()["flags"][rules["flags"]])
            return [[], *([name] for name in names)]
        case "u16s":
            return [[], [1]]
        case "int":
            return sorted({rules["min"], rules["min"] + 1, rules["max"]})
        case "bool":
            return [False, True]
        case "fd":
            return [8, 9, *rules["named"]]
        case "enum":
            return list(api.enums()[rules["enum"]])
        case "mac":
            return ["5a:94:ef:e4:0c:ee", "5a:94:ef:e4:0c:ef"]
        case _:
            return ["a", "b"]


@pytest.mark.parametrize(("kind", "name", "param"), ARGUMENTS, ids=lambda value: value if isinstance(value, str) else value.name)  # fmt: skip
def test_a_changed_argument(kind: str, name: str, param: Param) -> None:
    params = api.params(kind, name)
    args = {one.name: values(one)[0] for one in params if one.kind not in ("context", "length")}
    effects = set()
    for pair in permutations(values(param), 2):
        one, two = (reviewed({kind: name, "args": {**args, param.name: value}}) for value in pair)
        difference = compare(one, two)
        assert difference.changes
        effects |= {change.effect for change in difference.changes}
    if _is_in(ALTERS, name, param):
        assert effects == {"alters"}
    elif _is_in(OTHER_CODE, name, param):
        assert effects == {"other_code"}
    else:
        assert ("widens" in effects) != _is_in(NEUTRAL, name, param)


LONG = "set -eu\n" + "a" * 600 + "\nexec /bin/b\n"


def large(param: Param) -> list[Any]:
    """Arguments for a parameter of which no sentence shows all."""
    match param.kind:
        case "bytes":
            process = {"args": [LONG] * 60, "env": {f"V{i}": LONG for i in range(60)}, "cwd": LONG}
            content = base64.b64encode(LONG.encode()).decode()
            return [{"text": LONG}, {"base64": content}, {"file": LONG}, {"process": process}]
        case "env":
            return [{f"V{i}": LONG for i in range(60)}]
        case "texts":
            return [[f"s{i}" for i in range(60)], [LONG] * 60]
        case "rlimits":
            return [{f"n{i}": "1:1" for i in range(60)}]
        case "port_map":
            return [[f"{i}:{i}" for i in range(60)]]
        case "published":
            return [[f"127.0.0.1:{i}:{i}" for i in range(60)]]
        case "u16s":
            return [list(range(60))]
        case "int" | "bool" | "fd" | "enum" | "mac" | "flags":
            return []  # short, and test_a_changed_argument has them
        case _:
            return [LONG]


def mutated(value: Any) -> Iterator[Any]:
    """VALUE with one thing in it changed, at any depth."""
    match value:
        case str():
            at = len(value) // 2
            yield value[:at] + ("b" if value[at] != "b" else "c") + value[at + 1 :]
        case int():
            yield value + 100
        case list():
            for i, one in enumerate(value):
                yield from ([*value[:i], other, *value[i + 1 :]] for other in mutated(one))
        case dict():
            for key, one in value.items():
                yield from ({**value, key: other} for other in mutated(one))


@pytest.mark.parametrize(("kind", "name", "param"), ARGUMENTS, ids=lambda value: value if isinstance(value, str) else value.name)  # fmt: skip
def test_what_no_sentence_shows_is_not_neutral_for_that(
    kind: str, name: str, param: Param, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another content with the same first digits of its digest can be found: 12 of them in seconds.
    monkeypatch.setattr(words, "hexdigest", lambda data: "0" * 32 + hexdigest(data)[32:])
    params = api.params(kind, name)
    args = {one.name: values(one)[0] for one in params if one.kind not in ("context", "length")}
    for value in large(param):
        one = reviewed({kind: name, "args": {**args, param.name: value}})
        for other in mutated(value):
            two = reviewed({kind: name, "args": {**args, param.name: other}})
            changes = compare(one, two).changes
            assert changes
            unjudged = all(
                change.effect == "neutral" and not _is_still(change) for change in changes
            )
            assert not unjudged or _is_in(NEUTRAL, name, param)


def _is_still(change: Change) -> bool:
    return change.kind in BY_NAME and BY_NAME[change.kind].still


def test_one_descriptor_less_is_told_where_others_lead_to_the_same() -> None:
    fds = {"input_fd": "stdin", "output_fd": "stdout", "err_fd": "stdout"}
    one, two = (
        reviewed(call("krun_add_virtio_console_default", **{**fds, "err_fd": err}))
        for err in ("stdout", "none")
    )
    ((effect, text),) = ((one.effect, one.text) for one in compare(one, two).changes)
    expected = "krun_add_virtio_console_default: err_fd stdout -> none"
    assert (effect, text) == ("alters", expected)


def _is_in(table: dict[str, list[tuple[str, str]]], name: str, param: Param) -> bool:
    listed = {key for keys in table.values() for key in keys}
    return (name, param.name) in listed or ("*", param.name) in listed


def test_nothing_is_listed_in_vain() -> None:
    there = {(name, param.name) for _, name, param in ARGUMENTS}
    for keys in (*ALTERS.values(), *OTHER_CODE.values(), *NEUTRAL.values()):
        for name, argument in keys:
            assert any(argument == other and name in ("*", own) for own, other in there)
