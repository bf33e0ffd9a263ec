"""What the launcher refuses, and what it says; never a call, never a traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import krunc_launcher
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from krunc_compiler.__main__ import main
from krunc_launcher.errors import asked_by
from krunc_launcher.host.kvm import runs_a_test
from krunc_schema import load
from processes import PATIENCE
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

(WITHOUT_KVM,) = (
    row["hypervisor"]
    for row in load("krun")["architectures"].values()
    if os.uname().machine in row["machines"]
)
BOX = """\
krunc: 1
name: box
rootfs: {path: ./rootfs}
shares: [{tag: a, path: ./a, read_only: false}]
disks: [{id: a, path: ./a.img, format: raw}]
network: {mode: unixstream, socket: ./net.sock}
agent: {listen: ./agent.sock}
entrypoint: {executable: /bin/a, env: {T: {from_env: TOKEN}}}
limits: {core: 0}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "box.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path


def dry(path: Path | str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A dry run of the plan in PATH."""
    return subprocess.run(
        [*LAUNCHER, "--dry-run", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **more,
    )


def row(plan: dict[str, Any], name: str) -> dict[str, Any]:
    """The operation NAME."""
    found: dict[str, Any] = next(
        row for row in plan["operations"] if name in (row.get("call"), row.get("step"))
    )
    return found


Change = Callable[[dict[str, Any]], Any]
EDITS: dict[str, tuple[Change, str]] = {
    "other format": (lambda p: p.update(krunc_plan=2), "format 2 is newer than this krunc"),
    "no plan": (lambda p: p.pop("krunc_plan"), "this is not a plan"),
    "true as format": (lambda p: p.update(krunc_plan=True), "this is not a plan"),
    "unknown head": (lambda p: p.update(more=1), 'the key "more" is not known'),
    "head missing": (lambda p: p.pop("box_digest"), "the key box_digest is missing"),
    "bad name": (lambda p: p.update(box="../x"), 'box: found "../x"; allowed: lower-case'),
    "bad api": (lambda p: p.update(api="v9"), 'api: found "v9"; allowed: v1, v2_flat'),
    "other api": (lambda p: p.update(api="v2_flat"), "krun_set_root is not in libkrun 2.0-dev"),
    "bad digest": (lambda p: p.update(box_digest="md5:1"), "box_digest: sha256: and 64"),
    "digest not hexadecimal": (
        lambda p: p.update(box_digest="sha256:" + "z" * 64),
        "box_digest: sha256: and 64 hexadecimal digits",
    ),
    "target of another api": (
        lambda p: p.update(target="2"),
        'api: "v1" is not the API of target 2',
    ),
    "from that hides": (
        lambda p: p["operations"][0].update({"from": "a\u202eb"}),
        "operations[0].from: expected from: a box key of printable characters",
    ),
    "bad features": (
        lambda p: p["requires"].update(features=["x"]),
        "requires.features: expected a list",
    ),
    "no operations": (
        lambda p: p.update(operations=[]),
        "operations: expected a list of 1 to 4096",
    ),
    "operation is text": (lambda p: p["operations"].append("x"), "an operation is an object"),
    "two kinds": (
        lambda p: p["operations"][0].update(call="x"),
        "an operation has one of the keys",
    ),
    "unknown call": (
        lambda p: row(p, "krun_set_exec").update(call="system"),
        '"system" is not a function',
    ),
    "query call": (
        lambda p: row(p, "krun_set_exec").update(call="krun_free_ctx"),
        "is not a function",
    ),
    "code call": (
        lambda p: row(p, "krun_set_exec").update(call="krun_set_display_backend"),
        "is not a function",
    ),
    "unknown step": (lambda p: p["operations"][0].update(step="rm"), '"rm" is not a host step'),
    "step as list": (lambda p: p["operations"][0].update(step=["x"]), "a list is not a host step"),
    "unknown argument": (
        lambda p: row(p, "krun_set_exec")["args"].update(x=1),
        'the key "x" is not known',
    ),
    "argument missing": (
        lambda p: row(p, "krun_set_exec")["args"].pop("argv"),
        "the key argv is missing",
    ),
    "args missing": (lambda p: row(p, "krun_set_exec").pop("args"), "the key args is missing"),
    "from missing": (lambda p: row(p, "krun_set_exec").pop("from"), "from is missing"),
    "on_failure elsewhere": (
        lambda p: row(p, "krun_set_exec").update(on_failure="warn"),
        '"on_failure" is not known',
    ),
    "on_failure other": (
        lambda p: row(p, "krun_init_log").update(on_failure="go"),
        'allowed: "warn"',
    ),
    "bool as int": (
        lambda p: row(p, "krun_set_vm_config")["args"].update(num_vcpus=True),
        "found true; allowed: 1 to 255",
    ),
    "int as bool": (
        lambda p: row(p, "krun_add_disk2")["args"].update(read_only=0),
        "found 0; allowed: true, false",
    ),
    "range": (
        lambda p: row(p, "krun_set_vm_config")["args"].update(num_vcpus=256),
        "found 256; allowed: 1 to 255 vCPUs",
    ),
    "enum": (
        lambda p: row(p, "krun_add_disk2")["args"].update(disk_format="qcow9"),
        'found "qcow9"; allowed: raw, qcow2, vmdk',
    ),
    "enum as number": (
        lambda p: row(p, "krun_add_disk2")["args"].update(disk_format=1),
        "found 1; allowed: raw",
    ),
    "flag": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(features=["x"]),
        'features[0]: found "x"; allowed: csum',
    ),
    "flag twice": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(features=["csum", "csum"]),
        "csum is here twice",
    ),
    "flag of another call": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(flags=["vfkit"]),
        "allowed: dhcp_client",
    ),
    "mac": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(mac="1:2"),
        'mac: found "1:2"',
    ),
    "mac multicast": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(mac="ff:ff:ff:ff:ff:ff"),
        "a multicast or empty address",
    ),
    "fd": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(fd=0),
        "found 0; allowed: none",
    ),
    "fd not opened": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(path=None, fd={"opened": "x"}),
        'no open_file before it opens "x"',
    ),
    "path and fd": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(fd=5),
        "expected exactly one of path and fd",
    ),
    "neither path nor fd": (
        lambda p: row(p, "krun_add_net_unixstream")["args"].update(path=None),
        "expected exactly one of path and fd",
    ),
    "null path": (
        lambda p: row(p, "krun_set_root")["args"].update(root_path=None),
        "found null; expected a string",
    ),
    "empty path": (lambda p: row(p, "krun_set_root")["args"].update(root_path=""), "found 0 bytes"),
    "NUL": (
        lambda p: row(p, "krun_set_root")["args"].update(root_path="a\0b"),
        "a NUL character ends a C string",
    ),
    "surrogate": (
        lambda p: row(p, "krun_set_root")["args"].update(root_path="\ud800"),
        "a lone surrogate is not a character",
    ),
    "runtime escape": (
        lambda p: row(p, "krun_set_root")["args"].update(root_path="runtime:a/../../b"),
        "it leaves the runtime directory",
    ),
    "late value elsewhere": (
        lambda p: row(p, "krun_set_root")["args"].update(root_path={"from_env": "X"}),
        "found an object; expected a string",
    ),
    "late value odd": (
        lambda p: row(p, "krun_set_exec")["args"]["envp"].update(T={"from_env": "A B"}),
        '{"from_env": NAME}',
    ),
    "late value more": (
        lambda p: row(p, "krun_set_exec")["args"]["envp"].update(T={"from_env": "A", "x": 1}),
        '{"from_env": NAME}',
    ),
    "variable name": (
        lambda p: row(p, "krun_set_exec")["args"]["envp"].update({"A=B": "x"}),
        '"A=B" is not a name of a variable',
    ),
    "variable of init": (
        lambda p: row(p, "krun_set_exec")["args"]["envp"].update(KRUN_INIT="x"),
        "reserves KRUN_INIT",
    ),
    "environment NULL": (
        lambda p: row(p, "krun_set_exec")["args"].update(envp=None),
        "found null; expected an object",
    ),
    "quote": (
        lambda p: row(p, "krun_set_exec")["args"].update(argv=['a"b']),
        "allowed: printable ASCII without double quotes",
    ),
    "line break": (
        lambda p: row(p, "krun_set_exec")["args"].update(argv=["a\nb"]),
        'argv[0]: found "a\\nb"',
    ),
    "end of the arguments": (
        lambda p: row(p, "krun_set_exec")["args"].update(argv=["a", "--", "b"]),
        'argv[1]: "--" ends the list: the guest drops the rest (entrypoint)',
    ),
    "too many arguments": (
        lambda p: row(p, "krun_set_exec")["args"].update(argv=["a"] * 33),
        "found 33 items; at most 32",
    ),
    "command line": (
        lambda p: row(p, "krun_set_exec")["args"].update(argv=["a" * 2000]),
        "which holds 2047",
    ),
    "limit": (
        lambda p: row(p, "krun_set_rlimits")["args"]["rlimits"].update(core="2:1"),
        "the soft limit of 2:1 is above",
    ),
    "limit name": (
        lambda p: row(p, "krun_set_rlimits")["args"]["rlimits"].update(x="1:1"),
        '"x" is not a limit',
    ),
    "relative workdir": (
        lambda p: row(p, "krun_set_workdir")["args"].update(workdir_path="a"),
        "it starts with /",
    ),
    "socket too long": (
        lambda p: row(p, "krun_add_vsock_port2")["args"].update(filepath="/" + "s" * 107),
        "has 108 bytes",
    ),
    "no context": (
        lambda p: p["operations"].remove(row(p, "krun_create_ctx")),
        "needs krun_create_ctx before it",
    ),
    "two contexts": (
        lambda p: p["operations"].insert(8, {"call": "krun_create_ctx", "from": "default"}),
        "is allowed only once",
    ),
    "two logs": (
        lambda p: p["operations"].insert(6, dict(row(p, "krun_init_log"))),
        "krun_init_log is allowed only once",
    ),
    "both logs": (
        lambda p: p["operations"].insert(
            6, {"call": "krun_set_log_level", "args": {"level": "off"}, "from": "x"}
        ),
        "cannot both be in one plan",
    ),
    "log too late": (
        lambda p: p["operations"].insert(
            8, p["operations"].pop(p["operations"].index(row(p, "krun_init_log")))
        ),
        "krun_init_log is before krun_create_ctx",
    ),
    "not entered": (lambda p: p["operations"].pop(), "krun_start_enter is missing"),
    "something behind": (
        lambda p: p["operations"].append({"step": "raise_nofile", "from": "x"}),
        "nothing is allowed behind krun_start_enter",
    ),
    "entered twice": (
        lambda p: p["operations"].append(p["operations"][-1]),
        "is allowed only once",
    ),
    "condition too late": (
        lambda p: p["operations"].insert(9, p["operations"].pop(0)),
        "require_hypervisor is before the first call",
    ),
    "tag twice": (
        lambda p: p["operations"].insert(14, dict(row(p, "krun_add_virtiofs"))),
        'the virtiofs tag "a" is that of operations[',
    ),
    "tag of the root": (
        lambda p: row(p, "krun_add_virtiofs")["args"].update(tag="/dev/root"),
        'the virtiofs tag "/dev/root" is that of operations[',
    ),
    "too many devices": (
        lambda p: [
            p["operations"].insert(
                14,
                {
                    "call": "krun_add_virtiofs",
                    "args": {"tag": f"t{i}", "path": "a"},
                    "from": "shares[1]",
                },
            )
            for i in range(93)
        ],
        "operations: 101 virtio devices, libkrun's own among them; a machine has room for 63",
    ),
    "fewer items than said": (
        lambda p: p["operations"].insert(
            14,
            {
                "call": "krun_add_vhost_user_device",
                "args": {
                    "device_type": "rng",
                    "socket_path": "s",
                    "name": None,
                    "num_queues": 65535,
                    "queue_sizes": [1],
                },
                "from": "x",
            },
        ),
        "queue_sizes: found 1 items; num_queues says 65535 (x)",
    ),
    "list without an end": (
        lambda p: p["operations"].insert(
            14,
            {
                "call": "krun_add_vhost_user_device",
                "args": {
                    "device_type": "rng",
                    "socket_path": "s",
                    "name": None,
                    "num_queues": 0,
                    "queue_sizes": [1],
                },
                "from": "x",
            },
        ),
        "queue_sizes: expected a 0 at the end where num_queues is 0 (x)",
    ),
    "two roots": (
        lambda p: p["operations"].insert(
            -6,
            {
                "call": "krun_set_root_disk_remount",
                "args": {"device": "/dev/vda", "fstype": None, "options": None},
                "from": "x",
            },
        ),
        "cannot both be in one plan",
    ),
    "port map with a device": (
        lambda p: p["operations"].insert(
            12, {"call": "krun_set_port_map", "args": {"port_map": []}, "from": "x"}
        ),
        "cannot both be in one plan",
    ),
    "vsock without need": (
        lambda p: p["operations"].insert(
            12, {"call": "krun_add_vsock", "args": {"tsi_features": []}, "from": "x"}
        ),
        "needs krun_disable_implicit_vsock before it",
    ),
    "condition of nothing": (
        lambda p: p["operations"].insert(
            1,
            {
                "step": "require_directory",
                "args": {"path": "/etc", "access": "read-write"},
                "from": "default",
            },
        ),
        'operations[1]: no call uses "/etc"',
    ),
    "condition that opens more than its call": (
        lambda p: row(p, "krun_add_disk2")["args"].update(read_only=True),
        'no call writes to "a.img" (disks[0].path)',
    ),
    "no condition": (
        lambda p: p["operations"].remove(row(p, "require_file")),
        'disk_path: no condition before it demands "a.img" with read-write access (disks[0])',
    ),
    "condition that opens less than its call": (
        lambda p: row(p, "require_file")["args"].update(access="read"),
        'no condition before it demands "a.img" with read-write access (disks[0])',
    ),
    "hypervisor not asked for": (
        lambda p: p["operations"].pop(0),
        "require_hypervisor is missing before the first call",
    ),
    "implicit missing": (lambda p: p["operations"].pop(-2), "the calls imply"),
    "implicit false": (
        lambda p: p["operations"].insert(-1, {"implicit": "no_network", "from": "x"}),
        'the calls do not imply "no_network"',
    ),
    "implicit twice": (
        lambda p: p["operations"].insert(-1, p["operations"][-2]),
        "is here twice",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_plan(name: str, directory: Path) -> None:
    change, sentence = EDITS[name]
    plan = json.loads((directory / "box.plan.json").read_text())
    change(plan)
    edited = directory / "edited.plan.json"
    text = ",\n".join(json.dumps(row) for row in plan.pop("operations"))
    edited.write_text(
        json.dumps({**plan, "operations": []}, indent=0).replace("[]\n}", f"[\n{text}\n]\n}}")
    )
    done = dry(edited)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert sentence in done.stderr
    assert done.stderr.startswith(f"{edited}:")
    assert "Traceback" not in done.stderr


def test_a_finding_has_its_place(directory: Path) -> None:
    file = directory / "box.plan.json"
    text = file.read_text().replace('"num_vcpus": 4', '"num_vcpus": 400').replace('"raw"', '"row"')
    file.write_text(text)
    places = []
    for wrong in ("400", '"row"'):
        before = text[: text.index(wrong)]
        places.append(f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: ")
    lines = dry(file).stderr.splitlines()
    assert [line.startswith(place) for line, place in zip(lines, places, strict=True)] == [True] * 2
    assert lines[0].endswith("operations[7].args.num_vcpus: found 400; allowed: 1 to 255 vCPUs")


HOSTILE = {
    "empty": b"",
    "not json": b"krunc: 1",
    "cut off": b'{"krunc_plan": 1',
    "not utf-8": b'{"krunc_plan": "\xff"}',
    "byte order mark": b'\xef\xbb\xbf{"krunc_plan": 1}',
    "behind": b"{} {}",
    "a key twice": b'{"krunc_plan": 1, "krunc_plan": 1}',
    "nan": b'{"krunc_plan": NaN}',
    "float": b'{"krunc_plan": 1e3}',
    "huge number": b'{"krunc_plan": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep but closed": b"[" * 900 + b"]" * 900,
    "long": b" " * ((1 << 20) + 1),
    "control character": b'{"krunc_plan\x01": 1}',
    "escape sequence": b'{"\\u001b[31m": 1, "krunc_plan": 1}',
    "list": b"[]",
    "null": b"null",
    "many operations": b'{"krunc_plan":1,"box":"a","target":"1","api":"v1","requires":{"libkrun":"1.0","features":[],"because":[]},"box_digest":"sha256:'
    + b"0" * 64
    + b'","operations":['
    + b",".join([b"{}"] * 5000)
    + b"]}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.plan.json"
    file.write_bytes(HOSTILE[name])
    done = dry(file)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith(f"{file}:")
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("name", ["missing", "directory", "fifo"])
def test_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    done = dry(tmp_path / name)
    assert done.returncode == 1
    assert str(tmp_path / name) in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_input(directory: Path) -> None:
    text = (directory / "box.plan.json").read_text()
    assert dry("-", input=text, cwd=directory).stdout == dry(directory / "box.plan.json").stdout


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["--what", "a"], ["--libkrun"], ["--base=", "a"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = subprocess.run([*LAUNCHER, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("krunc launch: ")
    assert done.stderr.endswith("see krunc launch --help\n")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_change_is_shown_or_refused(directory: Path, data: st.DataObject) -> None:
    from krunc_launcher.as_c import listing
    from krunc_launcher.errors import PlanRefused
    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.verify import verify
    from krunc_launcher.resolve.resolve import resolve
    from krunc_launcher.text.reading import parse

    plan = json.loads((directory / "box.plan.json").read_text())
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=5,
    )
    for _ in range(data.draw(st.integers(1, 3))):
        target = data.draw(st.sampled_from(plan["operations"]))
        if not isinstance(target, dict):
            continue
        inner = target.get("args") if data.draw(st.booleans()) else target
        place = inner if isinstance(inner, dict) and inner else target
        place[data.draw(st.sampled_from([*place, "call", "step", "args"]))] = data.draw(values)
    try:
        checked = verify(parse(json.dumps(plan)))
        done, _ = resolve(checked, Directories("/b", "/r"), None)
        listing(checked, done)
    except PlanRefused as refused:
        assert refused.findings


# --- conditions of the host -------------------------------------------------------------------


@pytest.fixture
def furnished(directory: Path) -> Any:
    """The directory with everything that the plan asks of the host."""
    runnable(directory / "rootfs")
    (directory / "a").mkdir()
    (directory / "a.img").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "net.sock"))
        server.listen()
        yield directory


def test_all_conditions_at_once(directory: Path, launch: Callable[..., Launch]) -> None:
    done = launch(directory / "box.plan.json", kvm="absent")
    assert done.returncode == 125
    assert done.calls == []
    for sentence in (
        f"/dev/kvm is not there: {WITHOUT_KVM}",
        "rootfs: no such file or directory; expected a directory (rootfs.path)",
        "a: no such file or directory; expected a directory (shares[0].path)",
        "a.img: no such file or directory; expected a file or block device (disks[0].path)",
        "net.sock: there is no such socket; start the network backend first",
        "the launcher's variable TOKEN is not set",
    ):
        assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 6


def change_kind(directory: Path) -> str:
    shutil.rmtree(directory / "rootfs")
    (directory / "rootfs").write_text("x")
    return "rootfs is not a directory (rootfs.path)"


def dangling(directory: Path) -> str:
    (directory / "a.img").unlink()
    (directory / "a.img").symlink_to("nowhere")
    return "a.img: no such file or directory"


def directory_as_disk(directory: Path) -> str:
    (directory / "a.img").unlink()
    (directory / "a.img").mkdir()
    return "a.img is not a file or block device (disks[0].path)"


def nobody_serves(directory: Path) -> str:
    (directory / "net.sock").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "net.sock"))
    return "net.sock: no process is listening on this socket; start the network backend first"


def datagram(directory: Path) -> str:
    (directory / "net.sock").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(directory / "net.sock"))
    return "net.sock: "


def served(directory: Path) -> str:
    os.link(directory / "net.sock", directory / "agent.sock")
    return "agent.sock: a process is listening on this socket; libkrun makes this socket itself (agent.listen)"


def not_a_socket(directory: Path) -> str:
    (directory / "agent.sock").write_text("mine")
    return "agent.sock: this is not a socket"


@pytest.mark.parametrize(
    "spoil",
    [change_kind, dangling, directory_as_disk, nobody_serves, datagram, served, not_a_socket],
)
def test_condition(
    spoil: Callable[[Path], str], furnished: Path, launch: Callable[..., Launch]
) -> None:
    sentence = spoil(furnished)
    done = launch(furnished / "box.plan.json", TOKEN="x")
    assert (done.returncode, done.calls) == (125, [])
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if spoil is not_a_socket:
        assert (furnished / "agent.sock").read_text() == "mine"


def test_a_stale_socket_is_cleared(furnished: Path, launch: Callable[..., Launch]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(furnished / "agent.sock"))
        server.listen()
    done = launch(furnished / "box.plan.json", TOKEN="x", KRUN_RECORDER_EXIT="7")
    assert (done.returncode, done.stderr) == (7, "")
    assert not (furnished / "agent.sock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_permissions(
    furnished: Path, fake_kvm: Path, build: Callable[..., Path], tmp_path: Path
) -> None:
    for path in (*furnished.parents, furnished):
        if path.is_relative_to(gettempdir()) and path != Path(gettempdir()):
            path.chmod(0o755)
    (furnished / "a.img").chmod(0o600)
    (furnished / "a").chmod(0o500)
    # The checks alone: the test is not nobody's.
    from krunc_launcher.host.files import not_a_directory, not_a_file
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Named, Operation

    child = os.fork()
    if child == 0:
        os.setuid(65534)
        directories = Directories("/", "/run")
        access = Named("read-write", 1)
        file, directory = (
            Operation(0, "step", step, [str(furnished / name), access], "default", False)
            for step, name in (("require_file", "a.img"), ("require_directory", "a"))
        )
        said = [*not_a_file(file, directories), *not_a_directory(directory, directories)]
        os._exit(
            0
            if len(said) == 2 and all("uid 65534) cannot read and write" in s for s in said)
            else 1
        )
    assert os.waitpid(child, 0)[1] == 0


def way_in() -> str:
    """What is told to who may not open this machine's /dev/kvm: to join its group, where it has one
    that is not root's."""
    kvm = Path("/dev/kvm")
    if kvm.exists() and (kvm.stat().st_mode & 0o060 != 0o060 or kvm.stat().st_gid == 0):
        mode = f"{kvm.stat().st_mode & 0o777:o}"
        return f"its mode is {mode} and its group {kvm.group()}; as root: chgrp kvm /dev/kvm && "
    return "join its group with `usermod -aG"


@pytest.mark.parametrize(
    ("kvm", "sentence"),
    [
        ("absent", "/dev/kvm is not there"),
        ("denied", f"cannot open /dev/kvm: {way_in()}"),
        ("busy", "/dev/kvm cannot be opened: device or resource busy"),
        ("old", "/dev/kvm has KVM API 11; libkrun needs 12"),
    ],
)
def test_hypervisor(
    kvm: str, sentence: str, furnished: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(furnished / "box.plan.json", kvm=kvm, TOKEN="x")
    assert (done.returncode, done.calls) == (125, [])
    assert sentence in done.stderr


@pytest.mark.skipif(not runs_a_test(), reason="no guest tries a hypervisor of this architecture")
@pytest.mark.parametrize(
    ("kvm", "sentence"),
    [
        ("novm", "a VM cannot be made: cannot allocate memory"),
        ("emulated", "cannot run an ordinary guest"),
    ],
)
def test_hypervisor_that_runs_nothing(kvm: str, sentence: str, fake_kvm: Path) -> None:
    program = "from krunc_launcher.host.kvm import full; print(full(1 << 40))"
    done = subprocess.run(
        [LAUNCHER[0], "-c", program],
        env={**os.environ, "LD_PRELOAD": str(fake_kvm), "FAKE_KVM": kvm},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sentence in done.stdout
    assert "the VM wants 1099511627776 MiB of memory" in done.stdout


# --- secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ['say "hunter2"', "hunter2\n", "hunter2é", "hunter2" * 400])
def test_a_secret_that_cannot_reach_the_guest_is_not_shown(
    value: str, furnished: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(furnished / "box.plan.json", TOKEN=value)
    assert (done.returncode, done.calls) == (125, [])
    assert "hunter2" not in done.stderr + done.stdout
    assert "TOKEN" in done.stderr or "command line" in done.stderr


def test_a_failing_call_does_not_show_the_secret(
    furnished: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(
        furnished / "box.plan.json", TOKEN="hunter2", KRUN_RECORDER_FAIL="krun_set_exec=-22"
    )
    assert done.returncode == 125
    assert "T=<from_env TOKEN>" in done.stderr
    assert "hunter2" not in done.stderr


# --- libraries --------------------------------------------------------------------------------


def test_libraries(
    furnished: Path, launch: Callable[..., Launch], build: Callable[..., Path], tmp_path: Path
) -> None:
    plan = furnished / "box.plan.json"
    text = tmp_path / "text.so"
    text.write_text("no library")
    other = tmp_path / "other.so"
    subprocess.run(["cc", "-shared", "-o", other, "-x", "c", "/dev/null"], check=True)
    cases = {
        tmp_path / "missing.so": "there is no such file",
        tmp_path: "there is no such file",
        text: "cannot be loaded",
        other: "is not a libkrun: it does not have any of its functions",
        build("v2_flat"): "/box.yaml --target 2, or name another library",
        build(
            "v1", "krun_add_virtiofs", "krun_add_net_unixstream"
        ): "has no krun_add_virtiofs, which came with libkrun 1.8.0 (shares[0])",
    }
    for library, sentence in cases.items():
        done = launch(plan, library=library, TOKEN="x")
        assert (done.returncode, done.calls) == (125, []), library
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    assert "krun_add_net_unixstream, which came with libkrun 1.15.0 (network)" in done.stderr


def test_no_libkrun(furnished: Path, fake_kvm: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KRUNC_LIBKRUN"}
    done = subprocess.run(
        [*LAUNCHER, str(furnished / "box.plan.json")],
        capture_output=True,
        text=True,
        env={**environment, "LD_LIBRARY_PATH": "", "TOKEN": "x", "LD_PRELOAD": str(fake_kvm)},
    )
    assert done.returncode == 125
    assert "no libkrun 1.x was found; tried libkrun.so.1" in done.stderr
    assert "pip install 'krunc[libkrun]'" in done.stderr


@pytest.mark.parametrize(
    ("box", "command"),
    [("box.yaml", "krunc compile {}/box.yaml --target 2"), (None, "krunc compile BOX --target 2")],
)
def test_another_libkrun_names_the_command_that_works(
    box: str | None,
    command: str,
    furnished: Path,
    launch: Callable[..., Launch],
    build: Callable[..., Path],
) -> None:
    if box is None:
        (furnished / "box.yaml").unlink()
    done = launch(furnished / "box.plan.json", library=build("v2_flat"), TOKEN="x")
    assert f"run {command.format(furnished)}, or name another library" in done.stderr


def test_what_no_key_asks_for_names_none() -> None:
    """A fact of the host is not said to come from the key default."""
    assert asked_by("default") == ""
    assert asked_by("shares[0]") == " (shares[0])"
    package = Path(krunc_launcher.__file__).parent
    for module in package.rglob("*.py"):
        if module.name != "errors.py" and not module.name.startswith("_"):
            assert not re.search(r"\(\{[^}]*(origin|'from')[^}]*\}\)", module.read_text()), module
