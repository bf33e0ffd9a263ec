"""Policies over plans, and krunc check in each of its formats."""

from __future__ import annotations

import json
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from jsonschema import Draft7Validator
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Finding
from krunc_compiler.policy.paths import allowed
from krunc_compiler.policy.rules import judge
from krunc_compiler.policy.schemas import judge as judge_schema
from krunc_compiler.policy.way_out import Place
from krunc_compiler.shape.checking import check
from krunc_compiler.shape.misfits import validator
from krunc_schema import load
from places import ROOT
from published import published
from reviews import BOX, call, compiled, reviewed, reviewed_box, step

PLACE = Place("/repo/boxes", "/repo")
SHARE = {"tag": "s", "path": "./data", "read_only": False}
DISK = {"id": "d", "path": "../images/a.img", "format": "raw"}
STREAM = {"mode": "unixstream", "socket": "/run/net"}
TSI = {"mode": "tsi", "ports": ["8080:80"]}
ENV = {"entrypoint": {"executable": "/a", "env": {"A": {"from_env": "APP_TOKEN"}}}}

# Keys of the box, what a policy says, and what is found.
RULES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"shares": [SHARE]}, {}, []),
    ({"shares": [SHARE]}, {"writes": ["./boxes/data", "boxes/rootfs"]}, []),
    ({"shares": [SHARE]}, {"writes": ["boxes/d", "boxes/rootfs"]}, ["write: directory data (share s)"]),
    ({"shares": [SHARE]}, {"writes": []}, ["write: directory rootfs (the guest's root)", "write: directory data (share s)"]),
    ({"shares": [{**SHARE, "path": "/repo/boxes/data/../../.."}]}, {"writes": ["boxes"]}, ["write: directory /repo/boxes/data/../../.. (share s)"]),
    ({"shares": [{**SHARE, "path": "./data/in"}]}, {"writes": ["boxes/*"]}, []),
    ({"shares": [{**SHARE, "read_only": True}]}, {"writes": ["boxes/rootfs"], "reads": []}, ["read: directory data (share s)"]),
    ({"shares": [{**SHARE, "read_only": True}]}, {"reads": ["boxes"]}, []),
    ({"console": {"output": "runtime:log"}}, {"writes": ["boxes/rootfs", "runtime:"]}, []),
    ({"console": {"output": "runtime:log"}}, {"writes": ["boxes/rootfs", "runtime:other"]}, ["write: file runtime:log (console)"]),
    ({"console": {"output": "./runtime:log"}}, {"writes": ["boxes/rootfs", "runtime:"]}, ["write: file ./runtime:log (console)"]),
    ({}, {"networks": []}, []),
    ({"network": TSI}, {"networks": []}, ["network: any address that the host user can reach, including localhost (TSI)"]),
    ({"network": TSI}, {"networks": ["tsi"]}, []),
    ({"network": STREAM}, {"networks": ["unixgram"]}, ["network: through the network backend at /run/net (eth0)"]),
    ({"network": STREAM}, {"networks": ["unixstream"]}, []),
    ({"network": {**STREAM, "mode": "unixgram"}}, {"networks": ["unixgram"]}, []),
    ({"network": TSI}, {"ports": [8080]}, []),
    ({"network": TSI}, {"ports": ["8000-8100"]}, []),
    ({"network": TSI}, {"ports": [80, "8081-9000"]}, ["listen: host port 8080 to guest port 80, on the address that the guest binds (0.0.0.0: *:8080)"]),
    ({"network": {"mode": "tsi", "ports": "all"}}, {"ports": ["0-65535"]}, ["listen: every port that the guest listens on is opened here, on the address that it binds"]),
    (ENV, {"secrets": ["APP_*"]}, []),
    (ENV, {"secrets": ["APP", "*_APP"]}, ["secret: variable APP_TOKEN as A"]),
    ({"vsock": [{"port": 1, "socket": "runtime:s", "listen": True}]}, {"sockets": ["runtime:"]}, []),
    ({"vsock": [{"port": 1, "socket": "/var/run/docker.sock", "listen": False}]}, {"sockets": ["runtime:"]}, ["connect: host socket /var/run/docker.sock from guest vsock port 1"]),
    ({}, {"memory": "1GiB", "cpus": 2}, []),
    ({}, {"memory": "1G"}, []),
    ({}, {"memory": "1023M"}, ["memory: 1024 MiB"]),
    ({}, {"memory": "1023MiB", "cpus": 1}, ["memory: 1024 MiB", "vCPUs: 2"]),
    ({}, {"roots": ["boxes/rootfs"]}, []),
    ({}, {"roots": ["images"]}, ["root: directory rootfs, read-write"]),
    ({"rootfs": {"disk": "d"}, "disks": [DISK]}, {"roots": ["images/*.img"]}, []),
    ({"rootfs": {"disk": "d"}, "disks": [DISK]}, {"roots": ["images/*.qcow2"]}, ["root: disk /dev/vda (../images/a.img), ext4"]),
    ({}, {"names": "o*"}, []),
    ({}, {"names": "two*"}, ["the box is called one"]),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "allow", "found"), RULES, ids=range(len(RULES)))
@pytest.mark.parametrize("target", ["1", "2"])
def test_rules(keys: dict[str, Any], allow: dict[str, Any], found: list[str], target: str) -> None:
    policy = {"krunc_policy": 1, "allow": allow}
    assert check(policy, load("policy.schema")) == []
    review = reviewed_box({**BOX, **keys}, target)
    messages = [finding.message for finding in judge(policy, review, PLACE)]
    # How a secret travels depends on the target.
    said = [message.replace(" (in the guest's /proc/cmdline)", "") for message in messages]
    refused = "except localhost, which smolmachines' libkrun refuses"
    said = [message.replace(refused, "including localhost") for message in said]
    assert sorted(said) == sorted(found)
    for finding in judge(policy, review, PLACE):
        assert finding.path == ("box",) or finding.path[0] == "operations"


# What a guest is given of the host's devices as a disk or a share, and what allows it.
ATTACHED: list[tuple[dict[str, Any], list[str]]] = [
    ({"disks": [{"id": "d", "path": "/dev/sda", "format": "raw", "read_only": True}]}, ["/dev/sd*"]),
    ({"disks": [{"id": "d", "path": "/dev/vg/lv", "format": "raw"}]}, ["/dev/vg"]),
    ({"shares": [{"tag": "s", "path": "/dev", "read_only": False}]}, ["/dev"]),
    ({"shares": [{"tag": "s", "path": "/"}]}, ["/"]),
    ({"shares": [{"tag": "s", "path": "/sys/class"}]}, ["*"]),
    ({"shares": [{"tag": "s", "path": "../../../.."}]}, ["*"]),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "allowed"), ATTACHED, ids=range(len(ATTACHED)))
def test_devices_that_are_disks_or_shares(keys: dict[str, Any], allowed: list[str]) -> None:
    def found(names: list[str]) -> list[Finding]:
        policy = {"krunc_policy": 1, "allow": {"devices": names}}
        return list(judge(policy, reviewed_box({**BOX, **keys}, "2"), PLACE))

    (finding,) = found([])
    assert finding.path[0] == "operations"
    assert len(found(["GPU", "/dev/null"])) == 1
    assert found(allowed) == []


def test_other_disks_and_shares_are_no_devices() -> None:
    keys = {"disks": [{**DISK, "path": "/dev/shm/a.img"}], "shares": [SHARE]}
    policy = {"krunc_policy": 1, "allow": {"devices": []}}
    assert not list(judge(policy, reviewed_box({**BOX, **keys}, "2"), PLACE))


def test_rules_of_calls_that_no_box_makes() -> None:
    def found(allow: dict[str, Any], *operations: dict[str, Any]) -> list[str]:
        return [one.message for one in judge({"allow": allow}, reviewed(*operations), PLACE)]

    gpu = call("krun_set_gpu_options", virgl_flags=["venus"])
    pad = step("open_device", path="/dev/input/event3", name="pad", access="read")
    opened = call("krun_add_input_device_fd", input_fd={"opened": "pad"})
    inherited = call("krun_add_input_device_fd", input_fd=4)
    tap = call("krun_add_net_tap", tap_name="t", mac="5a:94:ef:e4:0c:ee", features=[], flags=[])
    assert found({"devices": ["GPU", "/dev/input/*"]}, gpu, pad, opened) == []
    assert len(found({"devices": []}, gpu, pad, opened)) == 2
    other = step("open_device", path="/dev/input/../sda", name="o", access="read")
    assert len(found({"devices": ["/dev/input/*"]}, other)) == 1
    file = call("krun_set_env", envp={"A": {"from_file": "APP_x/../t"}})
    assert found({"secrets": ["*"]}, file) == found({"secrets": ["./boxes/t"]}, file) == []
    for names in (["APP_*"], ["./boxes/APP_x"], ["t"]):
        assert found({"secrets": names}, file) == [
            "secret: file APP_x/../t as A (in the guest's /proc/cmdline)"
        ]
    bare = call("krun_add_vsock", tsi_features=["hijack_unix"])
    any_socket = "network: host Unix sockets by their paths (TSI)"
    assert found({"sockets": []}, bare) == found({"sockets": ["/run"]}, bare) == [any_socket]
    assert found({"sockets": ["/"]}, bare) == []
    assert found({"devices": ["/dev/*"]}, inherited) == [
        "device: input from the inherited file descriptor 4"
    ]
    assert found({"networks": ["tap"]}, tap) == []
    assert len(found({"networks": []}, tap)) == 1
    disk = call("krun_add_disk", block_id="d", disk_path="/repo/images/d", read_only=True)
    for device, count in {"/dev/vda": 0, "/dev/vda1": 0, "/dev/vdb": 1, "/dev/sda": 1}.items():
        root = call("krun_set_root_disk_remount", device=device, fstype=None, options=None)
        assert len(found({"roots": ["images"]}, disk, root)) == count
    assert len(found({"sockets": []}, call("krun_set_control_socket", socket_path="/c"))) == 1


def test_what_only_the_vmm_can_open_is_asked_too() -> None:
    row = step("require_directory", path="/", access="read-write")
    found = reviewed(row, step("confine", mode="required"))
    policy = {"krunc_policy": 1, "allow": {"writes": ["/repo"], "reads": ["/repo"]}}
    assert [one.message for one in judge(policy, found, PLACE)] == [
        "vmm-only: directory / (reads and writes)"
    ] * 2


def test_isolation_and_names_of_boxes() -> None:
    review = reviewed_box({**BOX, "network": TSI})
    policy = {"isolation": ["network", "kernel", "user"]}
    assert [finding.message for finding in judge(policy, review, PLACE)] == [
        "isolation: the guest has network access",
        "isolation: the VMM runs as the host user",
    ]
    assert list(judge({**policy, "boxes": "two"}, review, PLACE)) == []
    assert list(judge({**policy, "boxes": "*"}, review, PLACE)) != []


# A path of a plan in /repo/boxes, a pattern of a policy in /repo, and whether it is allowed.
PATHS = [
    ("a", "boxes/a", True),
    ("a/b", "boxes/a", True),
    ("ab", "boxes/a", False),
    ("../a", "boxes", False),
    ("/repo/boxes/a", "./boxes", True),
    ("a", "/", True),
    ("a/../../../etc", "/repo", False),
    ("a/b.img", "boxes/*.img", False),
    ("a/b.img", "boxes/**.img", True),
    ("b.img", "boxes/*.img", True),
    ("runtime:a", "runtime:", True),
    ("runtime:a", "runtime:a", True),
    ("runtime:ab", "runtime:a", False),
    ("runtime:../a", "runtime:b", False),
    ("runtime:a", "/", False),
    ("a\nb", "boxes/*", True),
    ("[a]", "boxes/[a]", True),
    ("a", "boxes/[a]", False),
]


@pytest.mark.parametrize(("path", "pattern", "fits"), PATHS)
def test_path(path: str, pattern: str, fits: bool) -> None:
    assert allowed(path, "/repo/boxes", [pattern], "/repo") == fits


def test_a_schema_speaks_with_its_nearest_message() -> None:
    schema = json.loads((ROOT / "examples/policies/policy-schema.json").read_text("utf-8"))
    qcow2 = {**DISK, "format": "qcow2"}
    box = {
        **BOX,
        "disks": [DISK, {**qcow2, "id": "e", "path": "../images/e.img"}],
        "network": {"mode": "tsi", "ports": "all"},
    }
    plan = json.loads(compiled(box))
    found = list(judge_schema(schema, plan))
    assert [finding.message.partition(":")[0] for finding in found] == [
        "a disk that the guest can write to is raw",
        "no plan publishes every port of the guest",
    ]
    places = [plan["operations"][finding.path[1]] for finding in found]
    assert places[0]["args"]["block_id"] == "e"
    assert places[1]["implicit"] == "all_guest_ports_published"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a policy, a box that is well, and one for each sort of trouble."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".krunc").mkdir()
    (tmp_path / ".krunc/policy.yaml").write_text(
        "krunc_policy: 1\nmessage: ask us\nallow: {networks: []}\n"
    )
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for name, keys in {"well": {}, "stale": {}, "open": {"network": TSI}, "none": {}}.items():
        (boxes / f"{name}.yaml").write_text(json.dumps({**BOX, **keys, "name": name}, indent=1))
        (boxes / f"{name}.plan.json").write_text(compiled({**BOX, **keys, "name": name}))
    (boxes / "stale.plan.json").write_text(compiled({**BOX, "name": "stale", "shares": [SHARE]}))
    (boxes / "none.plan.json").unlink()
    (boxes / "bad.yaml").write_text("krunc: 1\nname: Bad Name\n")
    (boxes / "alone.plan.json").write_text(compiled({**BOX, "network": TSI}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXPECTED = [
    ("boxes/alone.plan.json", "KR501", "operations[TSI]"),
    ("boxes/bad.yaml", "KR102", ""),
    ("boxes/bad.yaml", "KR106", "name"),
    ("boxes/none.plan.json", "KR301", ""),
    ("boxes/open.yaml", "KR501", "network"),
    ("boxes/stale.plan.json", "KR301", ""),
]


def found(text: str) -> list[tuple[str, str, str]]:
    document = json.loads(text)
    assert validator(load("check.schema")).is_valid(document)
    plan = json.loads(Path("boxes/alone.plan.json").read_text())
    number = [row.get("implicit") for row in plan["operations"]].index("vsock_with_tsi")
    return sorted(
        {
            (one["file"], one["code"], one["key"].replace(f"[{number}]", "[TSI]"))
            for one in document["findings"]
        }
    )


def test_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "json"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert found(said.out) == EXPECTED
    assert main(["check", "boxes/well.yaml", "--format", "json"]) == 0
    assert found(capsys.readouterr().out) == []


def test_text(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert "removed: directory data (share s)" in said
    assert (
        "boxes/open.yaml:11:2: error[KR501]: network: network: any address that the host user can reach"
        in said
    )
    assert (
        "= help: keep to policy.yaml: allow.networks: nothing; to allow it, add tsi; ask us" in said
    )
    assert main(["check", "boxes/well.yaml"]) == 0
    assert capsys.readouterr().out == "krunc: checked 1 box, 1 plan, 1 policy: no problems found\n"


def test_the_plans_target_is_kept(repository: Path) -> None:
    Path("boxes/well.plan.json").write_text(compiled({**BOX, "name": "well"}, "2"))
    assert main(["check", "boxes/well.yaml"]) == 0
    assert main(["check", "boxes/well.yaml", "--target", "1"]) == 1


def test_a_policy_can_be_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "boxes/open.yaml"]) == 1
    Path("lax.yaml").write_text("krunc_policy: 1\nallow: {networks: [tsi]}\n")
    assert main(["check", "boxes/open.yaml", "--policy", "lax.yaml"]) == 0
    assert main(["check", "boxes/open.yaml", "--policy", "lax.yaml", "--policy", ".krunc/policy.yaml"]) == 1  # fmt: skip


# A policy that is none, and what is said of it.
WRONG = {
    "krunc_policy: 2\n": "KR105",
    "krunc_policy: 1\nallow: {writes: 1}\n": "KR103",
    "krunc_policy: 1\nallow: {wirtes: []}\n": "KR101",
    "krunc_policy: 1\nallow: {networks: [any]}\n": "KR105",
    "allow: {}\n": "KR503",
    "- a\n": "KR503",
    "a: [\n": "KR003",
    '$schema: "https://json-schema.org/draft/2020-12/schema"\ntype: 7\n': "KR503",
    '$schema: "https://json-schema.org/draft/2020-12/schema"\n$ref: "https://a.example/b"\n': "KR503",
    '$schema: "https://json-schema.org/draft/2020-12/schema"\nproperties: {box: {pattern: "("}}\n': "KR503",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_wrong_policy(text: str, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_text(text)
    assert main(["check", "boxes/well.yaml", "--policy", "wrong.yaml"]) == 1
    assert f"error[{WRONG[text]}]" in capsys.readouterr().out


def test_nothing_to_check_is_wrong_usage(tmp_path: Path) -> None:
    assert main(["check", str(tmp_path)]) == 2


def test_sarif(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    validator = Draft7Validator(published("Schemata/sarif-schema-2.1.0.json"))
    assert not list(validator.iter_errors(log))
    broken = json.loads(json.dumps(log).replace('"startLine": ', '"startLine": -'))
    assert list(validator.iter_errors(broken)), "the schema can refuse"
    results = log["runs"][0]["results"]
    places = [one["locations"][0]["physicalLocation"] for one in results]
    files = {place["artifactLocation"]["uri"] for place in places}
    assert files == {file for file, _, _ in EXPECTED}
    (policy,) = (
        place["region"]
        for one, place in zip(results, places, strict=True)
        if place["artifactLocation"]["uri"] == "boxes/open.yaml"
    )
    line = Path("boxes/open.yaml").read_text().splitlines()[policy["startLine"] - 1]
    assert '"network"' in line
    assert line[policy["startColumn"] - 1 :].startswith('"network"')


def test_a_name_that_is_no_utf8(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.fsdecode(b"boxes/\xff.yaml")).write_text("krunc: 1\n")
    for form in ("sarif", "json", "github", "junit", "text"):
        assert main(["check", "--format", form]) == 1
        said = capsys.readouterr().out
        assert re.search(r"%FF|\\udcff", said)


def test_a_text_of_a_plan_makes_no_link_and_no_command(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = {**SHARE, "path": "[a](https://b.example)\n::error::c\u202e<img src=x>"}
    Path("boxes/open.plan.json").write_text(compiled({**BOX, "shares": [share]}))
    Path("boxes/open.yaml").unlink()
    Path(".krunc/policy.yaml").write_text("krunc_policy: 1\nallow: {writes: []}\n")
    assert main(["check", "boxes/open.plan.json", "--format", "sarif"]) == 1
    said = capsys.readouterr().out
    assert "[a] (https:/b.example)" in said
    assert "](" not in said
    assert main(["check", "boxes/open.plan.json", "--format", "github"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("::error file=boxes/open.plan.json") for line in lines)
    assert main(["check", "boxes/open.plan.json", "--format", "junit"]) == 1
    (_, case) = ElementTree.fromstring(capsys.readouterr().out).findall("testcase")
    assert "\\u202e<img src=x>" in str(case.findtext("failure"))


def test_github(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes/100%,a:b.yaml").write_text("krunc: 1\nname: 'x\\n::error::y'\n")
    assert main(["check", "--format", "github"]) == 1
    lines = capsys.readouterr().out.splitlines()
    commands = [re.fullmatch(r"::error file=([^,:]*)(,[^:]*)?::(.+)", line) for line in lines]
    assert all(commands)
    files = {command[1] for command in commands if command}
    assert "boxes/100%25%2Ca%3Ab.yaml" in files
    assert len(files) == len({file for file, _, _ in EXPECTED}) + 1


def test_junit(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "junit"]) == 1
    suite = ElementTree.fromstring(capsys.readouterr().out)
    cases = {case.get("name"): case.findall("failure") for case in suite.findall("testcase")}
    assert cases["boxes/well.yaml"] == []
    failed = {name for name, failures in cases.items() if failures}
    assert failed == {file for file, _, _ in EXPECTED}
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(len(failed))


def test_every_format_tells_what_a_stale_plan_would_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shares = [{"tag": f"t{i}", "path": f"./{i}"} for i in range(7)]
    Path("a.plan.json").write_text(compiled(BOX))
    Path("a.yaml").write_text(json.dumps({**BOX, "shares": shares}))
    for form in ("text", "github", "sarif", "json", "junit"):
        assert main(["check", "a.yaml", "--format", form]) == 1
        said = capsys.readouterr().out
        assert "this is not what a.yaml compiles to: " in said
        assert "changes: 7 widen host access" in said
        assert "Compiled, it widens host access: read: directory 0 (share t0); read: " in said
        assert "; 2 more" in said
    Path("a.yaml").write_text(json.dumps(BOX))
    Path("a.plan.json").write_text(compiled(BOX) + "\n")
    assert main(["check", "a.yaml"]) == 1
    assert "compiles to: no changes" in capsys.readouterr().out


def test_no_plan_hides_from_the_policies(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in (".hidden/boxes", ".git"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        Path(directory, "x.plan.json").write_text(compiled({**BOX, "network": TSI}))
        Path(directory, "x.yaml").write_text("krunc: 1\n")
    assert main(["check", "--format", "json"]) == 1
    files = {one["file"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {".hidden/boxes/x.plan.json", ".hidden/boxes/x.yaml"} <= files
    assert not [name for name in files if name.startswith(".git/")]


def test_in_junit_a_warning_fails_nothing(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("waived.yaml").write_text(
        "krunc: 1\nname: waived\nmachine: {cpus: 1, memory: 1GiB}\nrootfs: {path: ./r}\n"
        "network: {mode: none}\nentrypoint: {executable: /a}\n"
        "waivers: [{rule: allow.cpus, reason: r}]\n"
    )
    main(["compile", "waived.yaml"])
    capsys.readouterr()
    assert main(["check", "waived.yaml", "--format", "junit"]) == 0
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert suite.get("failures") == "0"
    (said,) = suite.iter("system-out")
    assert "warning[KR504]" in str(said.text)


def test_the_examples_are_policies(tmp_path: Path) -> None:
    for policy in sorted((ROOT / "examples" / "policies").glob("policy*")):
        status = main(["check", str(ROOT / "boxes"), "--policy", str(policy), "--format", "json"])
        assert status == 1, "the boxes of this repository are freer than the examples"


def denied(value: Any) -> list[str]:
    """What the example in Rego says of a JSON value."""
    rego = import_module("regopy").Interpreter()
    rego.add_module("krunc", (ROOT / "examples/policies/krunc.rego").read_text("utf-8"))
    rego.set_input(value)
    answer = json.loads(str(rego.query("said = data.main.deny")))
    return sorted(answer["bindings"]["said"])


def test_rego_takes_plans_and_reviews_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    closed, opened = {**BOX}, {**BOX, "network": TSI, "machine": {"memory": "16GiB"}}
    assert denied(json.loads(compiled(closed))) == []
    network = "network: the guest reaches the host's network (TSI)"
    assert denied(json.loads(compiled(opened))) == ["machine: more than 8 GiB of memory", network]
    assert main(["show", str(ROOT / "boxes/hello.plan.json"), "--format", "json"]) == 0
    assert denied(json.loads(capsys.readouterr().out)) == [network]
    shared = {**BOX, "shares": [{**SHARE, "path": "/etc/ssl"}], "rootfs": {"path": "/etc"}}
    assert len(denied(json.loads(compiled(shared)))) == 2
    # Family 2 has other calls for the same.
    assert denied(json.loads(compiled({**shared, "network": TSI}, "2"))) == [
        network,
        "rootfs.path: /etc cannot be shared writable",
        "shares[0]: /etc/ssl cannot be shared writable",
    ]
    reads = {
        **BOX,
        "shares": [
            {**SHARE, "path": "/etc", "read_only": True},
            {**SHARE, "tag": "o", "path": "/etcetera"},
        ],
    }
    for target in ("1", "2"):
        assert denied(json.loads(compiled(reads, target))) == []


def test_the_policy_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "policies.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(?:# .*\n)?(krunc_policy.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        assert check(yaml.safe_load(block), load("policy.schema")) == []


WAIVED = """\
krunc: 1
name: waived
labels: {LABELS}
waivers: [WAIVERS]
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/true}
"""
STRICT = "krunc_policy: 1\nallow: {networks: [], writes: [boxes/rootfs]}\nlabels: [owner]\n"


@pytest.mark.parametrize(
    ("labels", "waivers", "status", "said"),
    [
        (
            "owner: me",
            "",
            1,
            [
                "error[KR501]: network: network: any address that the host user can reach",
                "krunc: 1 error",
            ],
        ),
        ("team: me", "", 1, ["error[KR501]: the box has no label owner", "krunc: 2 errors"]),
        # An owner in which a reader sees nothing is none.
        ('owner: " "', "", 1, ['error[KR501]: labels.owner: this label shows nothing: " "']),
        ('owner: "\\u3164"', "", 1, ["error[KR501]: labels.owner: this label shows nothing"]),
        ("owner: أحمد", "", 1, ["krunc: 1 error"]),
        (
            "owner: me",
            "{rule: allow.networks, reason: a demo}",
            0,
            [
                "warning[KR501]: network: network: any address that the host user can reach",
                'waived: "a demo"',
            ],
        ),
        (
            "team: me",
            "{rule: allow.networks, reason: r}, {rule: labels.owner, reason: nobody yet}",
            0,
            ['the box has no label owner; waived: "nobody yet"'],
        ),
        (
            "owner: me",
            "{rule: allow.networks, reason: r}, {rule: allow.writes, reason: r}",
            0,
            ["warning[KR504]: waivers[1]: the waiver of 'allow.writes' is unused"],
        ),
        ("owner: me", "{rule: allow.networks}", 1, ["the key 'reason' is missing"]),
    ],
)
def test_a_waiver_stands_in_the_box(
    labels: str,
    waivers: str,
    status: int,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boxes").mkdir()
    (tmp_path / "strict.yaml").write_text(STRICT)
    box = tmp_path / "boxes" / "waived.yaml"
    box.write_text(WAIVED.replace("LABELS", labels).replace("WAIVERS", waivers))
    main(["compile", str(box)])
    capsys.readouterr()
    assert main(["check", "--policy", "strict.yaml", "boxes"]) == status
    shown = capsys.readouterr().out
    for text in said:
        assert text in shown, shown


def test_a_waiver_is_seen_by_every_reviewer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands in the review, and a new one opens."""
    box = tmp_path / "box.yaml"
    box.write_text(WAIVED.replace("LABELS", "owner: me").replace("WAIVERS", ""))
    main(["compile", str(box)])
    (tmp_path / "old.plan.json").write_text((tmp_path / "box.plan.json").read_text())
    waiver = "{rule: allow.networks, reason: a demo}"
    box.write_text(WAIVED.replace("LABELS", "owner: me").replace("WAIVERS", waiver))
    main(["compile", str(box)])
    capsys.readouterr()
    main(["show", str(tmp_path / "box.plan.json")])
    shown = capsys.readouterr().out
    assert 'waiver     allow.networks, because "a demo"' in shown
    assert "owner: me" in shown
    assert main(["diff", str(tmp_path / "old.plan.json"), str(tmp_path / "box.plan.json")]) == 1
    difference = capsys.readouterr().out
    assert difference.index("WIDENS") < difference.index("allow.networks")


def test_every_isolation_that_is_shown_can_be_asked_for() -> None:
    names = load("policy.schema")["properties"]["isolation"]["items"]["enum"]
    assert sorted(names) == sorted(fact.subject[0] for fact in reviewed_box(BOX).isolation)
