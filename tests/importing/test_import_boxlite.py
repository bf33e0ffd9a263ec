"""krunc import boxlite, against the real boxlite-shim 0.2.11: the same spec, the same calls."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boxlite_specs import BASE, DISK, SHARE, disks, spec
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.importing.boxlite import _root, convert
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.text.parsing import parse
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.values.rendering import render
from processes import PATIENCE
from recorder.fixtures import Launch
from roots import runnable


def program(*args: str, **more: Any) -> dict[str, Any]:
    """BASE with other arguments."""
    return spec(guest_entrypoint={**BASE["guest_entrypoint"], "args": list(args), **more})


def shell(text: str) -> dict[str, Any]:
    """BASE with a shell line."""
    return program("-c", text, executable="/bin/sh")


QCOW2 = {**DISK, "block_id": "data", "disk_path": "DIR/b.img", "format": "Qcow2"}
ON_VDA = {"Disk": {"disk_path": "DIR/a.img", "device_path": "/dev/vda"}}
SPECS: dict[str, dict[str, Any]] = {
    "minimal": spec(fs_shares={"shares": []}),
    "one share": spec(),
    "cpus and memory": spec(cpus=2, memory_mib=512),
    "null cpus and memory": spec(cpus=None, memory_mib=None),
    "many cpus": spec(cpus=128),
    "three shares": spec(
        fs_shares={"shares": [SHARE, {**SHARE, "tag": "b"}, {**SHARE, "tag": "c d"}]}
    ),
    "a read-only share": spec(
        fs_shares={"shares": [SHARE, {**SHARE, "tag": "b", "read_only": True}]}
    ),
    "raw disk": disks(DISK),
    "qcow2 disk": disks(QCOW2),
    "a read-only disk": disks({**DISK, "read_only": True}),
    "two disks": disks(DISK, {**QCOW2, "read_only": True}),
    "root on the first disk": disks(DISK, QCOW2, root=ON_VDA),
    "root on the second disk": disks(
        QCOW2, DISK, root={"Disk": {"disk_path": "DIR/a.img", "device_path": "/dev/vdb"}}
    ),
    "a disk without a device": disks(
        DISK, root={"Disk": {"disk_path": "DIR/a.img", "device_path": None}}
    ),
    "console to a file": spec(console_output="DIR/console.log"),
    "no console": spec(console_output=None),
    "a network backend": spec(
        network_config={"port_mappings": [[8080, 80]], "socket_path": "DIR/net.sock"}
    ),
    "a network backend without ports": spec(
        network_config={"port_mappings": [], "socket_path": "DIR/net.sock"}
    ),
    "no network backend": spec(network_config=None),
    "engine, security": spec(
        engine="Libkrun",
        security={"jailer_enabled": False, "seccomp_enabled": False},
    ),
    "fields of a newer version": spec(kernel={"path": "/k"}, nested_virtualization=True, x=[1, {}]),
    "network switched off": spec(disable_network=True),
    "no arguments": program(),
    "other arguments": program("serve", "--port", "1", "a  b", "$HOME", "it's"),
    "listen alone": program("--listen", "unix:///run/g.sock"),
    "notify first": program("--notify", "unix:///r", "--listen", "unix:///l", "x"),
    "listen with a TCP address": program("--listen", "tcp://0.0.0.0:1"),
    "listen as the last word": program("--notify", "unix:///r", "--listen"),
    "listen twice": program("--listen", "unix:///a", "--listen", "unix:///b"),
    "a shell line": shell("exec boxlite-guest --listen unix:///run/g --notify unix:///run/r"),
    "a shell line, listen twice": shell("a --listen unix:///a && b --listen unix:///b c"),
    "a shell line with a semicolon": shell("a --listen unix:///run/g; sync"),
    "a shell line with a quote": shell("sh -c 'a --listen unix:///run/g' && b"),
    "a shell line with a pipe": shell("a --notify unix:///run/r|cat >/log"),
    "odd variables": program(env=[["A", ""], ["B", "x=y z"], ["C", "{{ d }}"], ["D", "1"]]),
    "expressions": shell("echo {{ x }} {% if %} {# #}"),
    "a long name": spec(box_id="Box_" + "X" * 80),
}
# The program of the shim swallows what follows a URI up to a blank: wanted otherwise.
KEPT = {
    "a shell line with a semicolon": "a --listen vsock://2695; sync",
    "a shell line with a quote": "sh -c 'a --listen vsock://2695' && b",
    "a shell line with a pipe": "a --notify vsock://2696|cat >/log",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the specs name."""
    for name in ("share", "root", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "root/boxlite").mkdir()
    runnable(tmp_path / "root", *(one["guest_entrypoint"]["executable"] for one in SPECS.values()))
    (tmp_path / "a.img").write_bytes(bytes(4096))
    (tmp_path / "b.img").write_bytes(b"QFI\xfb".ljust(4096, b"\0"))
    return tmp_path


def placed(what: dict[str, Any], place: Path) -> str:
    """A spec in JSON, its paths in PLACE."""
    return json.dumps(what).replace("DIR/", f"{place}/")


def shim_calls(text: str, boxlite: Path, recorder: Path, place: Path) -> list[dict[str, Any]]:
    """What boxlite-shim calls for a spec."""
    libraries = place / "libraries"
    libraries.mkdir()
    shutil.copy(recorder, libraries / "libkrun.so.1.16.0")
    record = place / "shim.jsonl"
    done = subprocess.run(
        [boxlite / "boxlite-shim", "--engine", "libkrun", "--config", text],
        env={
            "PATH": "/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(libraries),
            "KRUN_RECORDER": str(record),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    for call in calls:
        del call["nofile"]
    return calls


def wanted(calls: list[dict[str, Any]], name: str, what: dict[str, Any]) -> list[dict[str, Any]]:
    """The shim's CALLS with the differences that krunc is to make."""
    read_only = {s["tag"] for s in what["fs_shares"]["shares"] if s["read_only"]}
    result: list[dict[str, Any]] = []
    for call in calls:
        args = call["args"]
        if call["call"] == "krun_add_virtiofs" and args[1] in read_only:
            result.append({"call": "krun_add_virtiofs3", "args": [*args, 0, True]})
        elif call["call"] == "krun_set_exec" and name in KEPT:
            result.append({**call, "args": [*args[:2], ["-c", KEPT[name]], args[3]]})
        else:
            result.append(call)
        if call["call"] == "krun_set_vm_config" and what.get("disable_network"):
            # 0.2.11 does not know the field; the engine's later text makes these two calls.
            context = args[0]
            result.append({"call": "krun_disable_implicit_vsock", "args": [context]})
            result.append({"call": "krun_add_vsock", "args": [context, 0]})
    return result


def imported(text: str, place: Path) -> Path:
    """The box of a spec."""
    (place / "spec.json").write_text(text)
    box = place / "box.yaml"
    assert main(["import", "boxlite", str(place / "spec.json"), "-o", str(box)]) == 0
    return box


@pytest.mark.parametrize("name", SPECS)
def test_the_calls_are_those_of_the_shim(
    name: str,
    boxlite: Path,
    place: Path,
    build: Callable[..., Path],
    launch: Callable[..., Launch],
) -> None:
    text = placed(SPECS[name], place)
    expected = wanted(shim_calls(text, boxlite, build("v1"), place), name, SPECS[name])
    box = imported(text, place)
    assert main(["compile", str(box)]) == 0
    with socket.socket(socket.AF_UNIX) as server:
        if SPECS[name].get("network_config"):
            (place / "net.sock").unlink(missing_ok=True)
            server.bind(str(place / "net.sock"))
            server.listen()
        (place / "grpc.sock").unlink(missing_ok=True)
        done = launch(place / "box.plan.json", KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7, done.stderr
    assert done.calls == expected


def test_there_are_enough_specs() -> None:
    assert len(SPECS) >= 25


def test_multibyte_text_hides_no_address(
    boxlite: Path, place: Path, build: Callable[..., Path]
) -> None:
    """The shim counts characters as bytes and garbles what follows."""
    text = placed(shell("a --listen unix:///é; b --listen unix:///2;"), place)
    calls = shim_calls(text, boxlite, build("v1"), place)
    (argv,) = (call["args"][2] for call in calls if call["call"] == "krun_set_exec")
    assert "---listen" in argv[1], argv
    assert main(["compile", str(imported(text, place))]) == 0
    plan = json.loads((place / "box.plan.json").read_text())
    (argv,) = (
        row["args"]["argv"] for row in plan["operations"] if row.get("call") == "krun_set_exec"
    )
    assert argv[1] == "a --listen vsock://2695; b --listen vsock://2695;"


def test_a_read_only_share_is_refused_where_it_cannot_be(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = imported(placed(SPECS["a read-only share"], place), place)
    assert main(["compile", str(box), "--target", "1.16"]) == 1
    said = capsys.readouterr().err
    assert "shares[1].read_only" in said
    assert "1.18" in said


def test_too_many_shares_are_imported_and_warned_of(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [{**SHARE, "tag": f"s{i}"} for i in range(20)]
    box = imported(placed(spec(fs_shares={"shares": shares}), place), place)
    assert main(["compile", str(box)]) == 0
    said = capsys.readouterr().err
    assert "virtio devices" in said
    assert "warning[KR880]" in said
    box.write_text(box.read_text() + "arch: x86_64\n")
    assert main(["compile", str(box)]) == 1
    said = capsys.readouterr().err
    assert "virtio devices" in said
    assert "error[KR207]" in said


def test_the_box_reads_well(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    what = spec(
        box_id="My Box",
        cpus=2,
        memory_mib=1024,
        network_config={"port_mappings": [[8080, 80]], "socket_path": "/run/net.sock"},
        security={"jailer_enabled": True},
        future={"key": 1},
    )
    (place / "spec.json").write_text(json.dumps(what))
    monkeypatch.chdir(place)
    assert main(["import", "boxlite", "spec.json"]) == 0
    assert capsys.readouterr().out == (
        "# Made by krunc import boxlite from spec.json.\n"
        "#\n"
        "# What the box does not hold, or holds otherwise:\n"
        "# - box_id: 'My Box' became the name my-box\n"
        "# - guest_rootfs.strategy: Extracted: the directory is taken unchanged\n"
        "# - network_config: BoxLite's shim serves the socket itself; start a network backend "
        "(gvproxy, passt) on it before krunc launch\n"
        "# - network_config.port_mappings: 8080:80: for that program to open\n"
        "# - home_dir: runtime: paths name the directory of a run\n"
        "# - exit_file: krunc launch ends with the guest's exit status\n"
        "# - detach: a supervisor keeps krunc launch running\n"
        "# - parent_pid: a supervisor watches krunc launch\n"
        "# - security: krunc launch confines the VM as its own options say\n"
        "# - future: unknown to this version of krunc\n"
        "krunc: 1\n"
        "name: my-box\n"
        "machine: {cpus: 2, memory: 1024MiB}\n"
        "rootfs: {path: DIR/root}\n"
        "shares:\n"
        "  - {tag: layers, path: DIR/share, read_only: false}\n"
        "network: {mode: unixstream, socket: /run/net.sock}\n"
        "agent: {listen: DIR/grpc.sock, notify: DIR/ready.sock}\n"
        "entrypoint:\n"
        "  executable: /boxlite/bin/boxlite-guest\n"
        "  args: [--listen, unix:///run/g.sock, --notify, unix:///run/r.sock]\n"
        "  env: {RUST_LOG: info}\n"
        "  workdir: /boxlite\n"
    )


WRONG: dict[str, tuple[str, list[str]]] = {
    "no JSON": ('{"box_id": ', [":1:"]),
    "a list": ("[]", ["is a list, not a map"]),
    "empty": ("", ["the file is empty"]),
    "a key twice": ('{"box_id": "a", "box_id": "b"}', ["box_id"]),
    "nothing but a name": (
        '{"box_id": "a"}',
        ["'guest_entrypoint' is missing", "'transport' is missing", "'guest_rootfs' is missing"],
    ),
    "another transport": (
        json.dumps(spec(transport={"Vsock": {"port": 1}})),
        ["'Unix' is missing"],
    ),
    "another format": (
        json.dumps(disks({**DISK, "format": "Vmdk"})),
        ["block_devices.devices[0].format", "write one of: Raw, Qcow2"],
    ),
    "a variable without a value": (
        json.dumps(program(env=[["A"]])),
        ["guest_entrypoint.env[0]"],
    ),
    "half of a character": (
        json.dumps(program(args=["a\ud800"])),
        ["spec.json:1:", r"the escape \ud800 stands for half of a character", r"^^^^^^"],
    ),
    "cpus as a string": (json.dumps(spec(cpus="2")), ["cpus", "is a string, not an integer"]),
    "a root that is made in another way": (
        json.dumps(spec(guest_rootfs={"path": "/r", "strategy": "Snapshot"})),
        ['made by "Snapshot"', "write one of: Direct, Extracted, OverlayMount, Disk"],
    ),
    "a root that is made in another way, with more": (
        json.dumps(spec(guest_rootfs={"path": "/r", "strategy": {"Erofs": {"layers": 2}}})),
        ['made by "Erofs"', "write one of: Direct, Extracted, OverlayMount, Disk"],
    ),
    "a root that is made by nothing": (
        json.dumps(spec(guest_rootfs={"path": "/r", "strategy": {}})),
        ["guest_rootfs.strategy", "write one of: Direct, Extracted, OverlayMount, Disk"],
    ),
    "a root on no disk": (
        json.dumps(disks(root=ON_VDA)),
        ["guest_rootfs.strategy.Disk.device_path", "no block device is /dev/vda"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_spec(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, sentences = WRONG[name]
    file = tmp_path / "spec.json"
    file.write_text(text)
    assert main(["import", "boxlite", str(file), "-o", str(tmp_path / "box.yaml")]) == 1
    said = capsys.readouterr().err
    assert f"{file}:" in said
    for sentence in sentences:
        assert sentence in said
    assert not (tmp_path / "box.yaml").exists()


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.sampled_from(
    [
        "{{",
        "{% x %}",
        "a{#b\r\n",
        "yes",
        "1e3",
        "~",
        "'",
        '"',
        "a: b",
        "- x",
        "#",
        "\t",
        "{{{{%",
        "@",
        "%",
        "=",
        "-",
        "---",
        "...",
        "a:",
        "1:2",
        "0x1",
        "+1",
        ".5",
        "é\x85\u2028",
    ]
)


@given(
    st.lists(TEXTS, max_size=4),
    st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
    TEXTS,
)
def test_every_text_stays_what_it_is(
    args: list[str], env: list[tuple[str, str]], path: str
) -> None:
    what = program(*args, env=[list(pair) for pair in env])
    what["guest_rootfs"]["path"] = path
    box, findings = convert(what)
    assert findings == []
    value, source = parse("box.yaml", to_yaml(box.value, box.notes, "title"))
    rendered = render(value, {}, source)
    assert rendered.findings == []
    assert rendered.value == box.value


@given(st.text())
def test_any_text_gives_a_box_or_findings(text: str) -> None:
    try:
        value, _ = parse("spec.json", text)
    except Rejected:
        return
    from krunc_compiler.shape.checking import check
    from krunc_schema import load

    if not check(value, load("boxlite.schema")):
        convert(value)


def test_an_escaped_pair_is_one_character(place: Path) -> None:
    """Many writers of JSON escape all that is not ASCII."""
    box = imported(placed(program("\U0001f389 \\ud83c"), place), place)
    target = api.target("2")
    assert target is not None
    plan = compile_box("box.yaml", box.read_text("utf-8"), Inputs(target))
    assert any(
        "\U0001f389 \\ud83c" in json.dumps(row, ensure_ascii=False).replace("\\\\", "\\")
        for row in plan.operations
    )


@pytest.mark.parametrize("engine", ["Qemu", "", 1, {"Libkrun": {}}])
def test_another_engine_is_refused(engine: object) -> None:
    _, (found,) = convert(spec(engine=engine))
    assert (found.code, found.path) == ("KR511", ("engine",))
    assert found.hint == "write Libkrun"


@pytest.mark.parametrize(
    ("device", "disk"),
    [("/dev/vda", "d0"), ("/dev/vdz", "d25"), ("/dev/vdaa", "d26"), ("/dev/vdab1", "d27")],
)
def test_a_root_disk_is_found_as_linux_counts(device: str, disk: str) -> None:
    disks = [{"block_id": f"d{i}", "disk_path": f"/{i}.img"} for i in range(28)]
    root = {"path": "/r", "strategy": {"Disk": {"device_path": device}}}
    assert _root(root, disks, [], []) == {"disk": disk, "device": device, "fstype": "ext4"}
