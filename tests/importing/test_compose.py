"""krunc import compose: every key by its table, what Compose does to a file, what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import compiles, composed, refused, served
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.importing import compose
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.importing.compose_keys import keys
from krunc_compiler.importing.interpolation import fill
from krunc_compiler.text.parsing import parse
from krunc_schema import load

DISK = {"id": "db", "path": "./db.img", "format": "raw", "mount": "/db"}
MOUNT = {"tag": "a", "path": "./a", "mount": "/a"}
# Keys of a service, keys of the box that they make, and a word of each comment.
CARRIED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"name": "web", "rootfs": {"image": "web:1", "changes": "discard"}}, ["4 vCPUs"]),
    ({"container_name": "shop"}, {"name": "shop"}, []),
    ({"read_only": True}, {"rootfs": {"image": "web:1", "read_only": True}}, []),
    ({"read_only": "${RO:-true}"}, {"rootfs": {"image": "web:1", "read_only": True}}, ["default"]),
    ({"cpus": 1.5, "mem_limit": "1g"}, {"machine": {"cpus": 2, "memory": "1GiB"}}, ["1.5 became 2"]),
    ({"cpus": "${CPUS:-2}"}, {"machine": {"cpus": 2}}, ["default"]),
    (
        {"deploy": {"replicas": 2, "resources": {"limits": {"cpus": "2", "memory": "64M", "pids": 5}}}},
        {"machine": {"cpus": 2, "memory": "64MiB"}, "limits": {"nproc": 5}},
        ["deploy.replicas", "not root"],
    ),
    ({"user": 1000}, {"entrypoint": {"user": "1000"}}, []),
    ({"user": "0:0"}, {"entrypoint": {"user": "root"}}, []),
    ({"working_dir": "/a"}, {"entrypoint": {"workdir": "/a"}}, []),
    ({"command": "a 'b  c' $$HOME"}, {"entrypoint": {"args": ["a", "b  c", "$HOME"]}}, []),
    ({"command": ["a", "b  c", 1]}, {"entrypoint": {"args": ["a", "b  c", "1"]}}, []),
    ({"command": None}, {"entrypoint": None}, []),
    ({"command": []}, {"entrypoint": {"args": []}}, []),
    ({"entrypoint": "/a -b", "command": ["c"]}, {"entrypoint": {"executable": "/a", "args": ["-b", "c"]}}, []),
    ({"entrypoint": ["a"]}, {"entrypoint": {"script": 'exec "$@"', "args": ["a"]}}, ["PATH"]),
    ({"environment": {"A": "b", "N": 1, "T": True}}, {"entrypoint": {"env": {"A": "b", "N": "1", "T": "true"}}}, []),
    ({"environment": ["A=b=c", "B"]}, {"entrypoint": {"env": {"A": "b=c", "B": {"from_env": "B"}}}}, ["B is read"]),
    ({"environment": {"A": None}}, {"entrypoint": {"env": {"A": {"from_env": "A"}}}}, ["A is read"]),
    ({"environment": {"A": "$B"}}, {"entrypoint": {"env": {"A": {"from_env": "B"}}}}, ["B is read"]),
    ({"environment": {"A": "${B:?no B}"}}, {"entrypoint": {"env": {"A": {"from_env": "B"}}}}, ["B is read"]),
    ({"environment": {"A": "${B:-c}"}}, {"entrypoint": {"env": {"A": "c"}}}, ["${B} is taken as its default"]),
    ({"environment": {"A": "${B:+c}x"}}, {"entrypoint": {"env": {"A": "x"}}}, ["default"]),
    ({"environment": {"A_TOKEN": "${B:-c}"}}, {"entrypoint": {"env": {"A_TOKEN": {"from_env": "B"}}}}, ["B is read", "omitted"]),
    ({"environment": {"A": "x${B}"}}, {"entrypoint": {"env": {"A": {"from_env": "A"}}}}, ["A is read", "${B}"]),
    ({"environment": {"A": "$$B {{ x }}"}}, {"entrypoint": {"env": {"A": "$B {{ x }}"}}}, []),
    ({"ports": ["127.0.0.1:1:2", "3:4/udp", 5]}, {"network.ports": ["127.0.0.1:1:2", "0.0.0.0:3:4/udp"]}, ["no host port"]),
    ({"ports": [{"target": 80, "published": "8080", "host_ip": "127.0.0.1"}]}, {"network.ports": ["127.0.0.1:8080:80"]}, []),
    ({"network_mode": "none"}, {"network": {"mode": "none"}}, []),
    ({"network_mode": "host"}, {"network": {"mode": "passt"}}, ["open the host's own network"]),
    ({"network_mode": "service:vpn"}, {"network": {"mode": "none"}}, ["cannot be joined"]),
    ({"networks": {"default": {"aliases": ["a"]}}}, {"network": {"mode": "passt"}}, ["addresses and aliases"]),
    ({"dns": "10.0.0.1", "extra_hosts": {"a": "10.0.0.2"}}, {"dns": ["10.0.0.1"], "hosts": {"a": "10.0.0.2"}}, []),
    ({"extra_hosts": ["a=10.0.0.2", "h:host-gateway"]}, {"hosts": {"a": "10.0.0.2"}}, ["opens all of it"]),
    ({"volumes": ["./a:/a:ro"]}, {"shares": [MOUNT]}, []),
    ({"volumes": ["./a:/a"]}, {"shares": [{**MOUNT, "read_only": False}]}, []),
    ({"volumes": [{"type": "bind", "source": "./a", "target": "/a", "read_only": True}]}, {"shares": [MOUNT]}, []),
    ({"volumes": ["db:/db"]}, {"disks": [DISK]}, ["mke2fs", "new disk"]),
    ({"volumes": ["~/a:/a"]}, {"shares": None}, ["home directory"]),
    ({"volumes": ["/run/docker.sock:/run/docker.sock"]}, {"shares": None}, ["omitted"]),
    ({"volumes": [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1m", "mode": 1777}}]}, {"tmpfs": [{"path": "/t", "size": "1MiB", "mode": "1777"}]}, ["is noexec"]),
    ({"volumes": [{"type": "npipe", "source": "x", "target": "/t"}]}, {"shares": None}, ["no counterpart"]),
    ({"tmpfs": "/t:exec"}, {"tmpfs": ["/t"]}, []),
    ({"ulimits": {"core": 1, "nofile": {"soft": 1, "hard": 2}}}, {"limits": {"core": 1, "nofile": "1:2"}}, []),
    ({"stop_signal": "SIGKILL", "stop_grace_period": "1m30s"}, {"stop": {"on_sigterm": "kill", "grace": 90}}, []),
    ({"stop_grace_period": "500ms"}, {"stop": {"grace": 1}}, ["whole ones"]),
    ({"labels": ["owner=a", "A=b"]}, {"labels": {"owner": "a"}}, ["fits no label"]),
    ({"privileged": True, "pid": "host"}, {}, ["open the host", "open the host's own"]),
    ({"privileged": False, "devices": [], "init": False}, {}, []),
    ({"cap_drop": ["ALL"], "security_opt": ["seccomp=unconfined"]}, {}, ["keeps all", "take a bound away"]),
    ({"build": ".", "x-mine": 1}, {}, ["builds no images"]),
]  # fmt: skip


def found_in(value: dict[str, Any], key: str) -> Any:
    """What VALUE has at a dotted key."""
    for part in key.split("."):
        value = value.get(part, {})
    return value or None


@pytest.mark.parametrize(
    ("given_keys", "made", "told"), CARRIED, ids=[str(row[0]) for row in CARRIED]
)
def test_a_key(
    given_keys: dict[str, Any], made: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    box = served(**given_keys)
    compiles(box, tmp_path)
    for key, wanted in made.items():
        assert found_in(box.value, key) == wanted
    notes = [note for note in box.notes if not note.startswith("machine:") or not given_keys]
    for word in told:
        assert any(word in note for note in notes), notes
    if not told:
        assert notes == []


def test_a_mode_in_octal_is_one() -> None:
    rows = [("0755", "755"), ("0o755", "755"), ("755", "755"), ("'1777'", "1777"), ("0o700", "700")]
    for text, mode in rows:
        mount = f"{{type: tmpfs, target: /t, tmpfs: {{mode: {text}}}}}"
        box = composed(f"services: {{a: {{image: x, volumes: [{mount}]}}}}")
        assert box.value["tmpfs"][0]["mode"].lstrip("0") == mode


@pytest.mark.parametrize("name", keys())
def test_every_key_is_in_the_schema_and_carried_or_told(name: str) -> None:
    assert set(
        load("compose.schema")["properties"]["services"]["additionalProperties"]["properties"]
    ) == set(keys())
    key = keys()[name]
    if key.act is None and not key.quiet:
        assert any(note.startswith(f"{name}:") for note in served(**{name: ["x"]}).notes)


SHOP = """
x-common: &common
  read_only: true
  environment: &env {A: a, B: b}
services:
  base:
    profiles: [never]
    image: app:1
    <<: *common
    ports: ["1:1"]
    volumes: ["data:/data", "./a:/a"]
    command: [base]
    depends_on: [db]
    labels: [owner=a]
  web:
    extends: {service: base}
    ports: ["2:2"]
    volumes: ["other:/data"]
    command: [web]
    environment: ["B=c", "C=d"]
    labels: {tier: front}
  in:
    image: app:1
    networks: [inside]
    ports: ["1:1"]
  both: {image: "app:1", networks: [inside, out]}
  far: {image: "app:1", networks: {far: {ipv4_address: 10.0.0.3}}}
networks:
  inside: {internal: true}
  out:
  far: {external: true}
"""


def test_a_service_has_what_it_extends() -> None:
    box = composed(SHOP, "web").value
    assert box["rootfs"] == {"image": "app:1", "read_only": True}
    assert box["network"]["ports"] == ["0.0.0.0:1:1", "0.0.0.0:2:2"]
    assert [disk["id"] for disk in box["disks"]] == ["other"]
    assert [share["mount"] for share in box["shares"]] == ["/a"]
    assert box["entrypoint"]["args"] == ["web"]
    assert box["entrypoint"]["env"] == {"A": "a", "B": "c", "C": "d"}
    assert box["labels"] == {"owner": "a", "tier": "front"}
    assert not any(note.startswith("depends_on") for note in composed(SHOP, "web").notes)


def test_networks_are_what_the_file_says_of_them() -> None:
    inside = composed(SHOP, "in")
    assert inside.value["network"] == {"mode": "none"}
    assert any("internal network" in note for note in inside.notes)
    assert any("nothing is published" in note for note in inside.notes)
    assert composed(SHOP, "both").value["network"] == {"mode": "passt"}
    far = composed(SHOP, "far")
    assert any("does not say whether it is internal" in note for note in far.notes)
    assert any("addresses and aliases" in note for note in far.notes)
    both = composed(SHOP, "both")
    assert any("no network among them" in note for note in both.notes)


def test_volumes_that_are_no_empty_disks_are_told() -> None:
    volumes = "{a: {driver_opts: {type: nfs, device: x}}, b: {external: true}, c: {}}"
    service = "{image: x, volumes: ['a:/a', 'b:/b', 'c:/c']}"
    notes = composed(f"services: {{s: {service}}}\nvolumes: {volumes}").notes
    told = [note.partition(":")[0] for note in notes if "is empty instead" in note]
    assert told == ["volumes.a.driver_opts", "volumes.b.external"]


def test_which_service_is_meant() -> None:
    one = "services: {a: {image: x}, b: {image: y, profiles: [debug]}}"
    assert composed(one).value["name"] == "a"
    assert composed(one, "b").value["name"] == "b"
    with pytest.raises(Rejected) as rejected:
        composed(SHOP)
    assert "name one behind the file: base, web, in" in refused(rejected.value)
    with pytest.raises(Rejected) as rejected:
        composed(SHOP, "wep")
    assert "did you mean web?" in refused(rejected.value)


FILLED = [
    ("a", "a", (), ()),
    ("$A", "$A", (), ("A",)),
    ("${A}-$$-$B", "${A}-$-$B", (), ("A", "B")),
    ("${A:-x}${B-y}", "xy", ("A", "B"), ()),
    ("${A:-}", "", ("A",), ()),
    ("${A:-a$$b}", "a$b", ("A",), ()),
    ("${A:+x}", "", ("A",), ()),
    ("${A:?x}", "${A:?x}", (), ("A",)),
]


@pytest.mark.parametrize(("text", "filled", "defaulted", "unknown"), FILLED)
def test_variables(
    text: str, filled: str, defaulted: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    found = fill(text)
    assert found[:3] == (filled, defaulted, unknown)
    assert not found.odd


def test_a_dollar_that_is_no_variable() -> None:
    assert all(fill(text).odd for text in ("$", "a$1", "${", "${A:-${B}}", "${1}"))


WRONG: list[tuple[str, list[str]]] = [
    ("", ["the file is empty"]),
    ("[]", ["not a map"]),
    ("a: 1", ["'services' is missing"]),
    ("services: {}", ["this is empty"]),
    ("services: {a: 1}", ["1:15:", "services.a"]),
    (
        "services:\n  a: {image: 1, ports: x, read_onyl: true}\n  b: {cpus: [1]}",
        ["2:14:", "2:24:", "2:27:", "did you mean read_only", "3:13:"],
    ),
    ("services: {a: {}}", ["names no image"]),
    ("services: {a: {build: .}}", ["names no image"]),
    ("services: {a: {image: '${TAG}', user: $U}}", ["$TAG is not known", "$U is not known", "KR513"]),
    ("services: {a: {image: x, cpus: many, mem_limit: lots, pids_limit: -9}}", ["1:32:", "1:49:", "1:67:"]),
    ("services: {a: {image: x, read_only: maybe, stop_grace_period: soon}}", ["true or false", "not a time"]),
    ("services: {a: {image: x, ports: ['1:x'], volumes: ['a:b'], tmpfs: [t]}}", ["1:34:", "1:52:", "1:68:"]),
    ("services: {a: {image: x, command: \"a 'b\"}}", ["are not distinct"]),
    ("services: {a: {image: x, environment: {A: '${', B: \"\\0\"}}}", ["1:43:", "not a variable"]),
    ("services: {a: {extends: {service: b, file: c.yaml}}}", ["another file", "KR513"]),
    ("services: {a: {extends: b}}", ["no service is called"]),
    ("services: {a: {extends: b}, b: {extends: a}}", ["name one"]),
    ("services: {a: {extends: a}}", ["without end"]),
    ("services: {a: {image: x, networks: [insde]}}\nnetworks: {inside: {internal: true}}", ["no network is called 'insde'", "networks of the file: inside"]),
    ("services: {a: {image: x}}\nnetwork: {a: {internal: true}}", ["2:1:", "did you mean networks?"]),
    ("services: {a: {image: x}}\nnetworks: {a: {internl: true}}", ["2:16:", "did you mean internal?"]),
    ("services: {a: {image: x, volumes: ['./a:/a:r0']}}", ["'r0' is not an option of a mount"]),
    ("services: {a: {image: x, volumes: [{type: bind, source: ./a, target: /a, readonly: true}]}}", ["did you mean read_only?"]),
    ("services: {a: {image: x, deploy: {resources: {limits: {cpu: '1'}}}}}", ["did you mean cpus?"]),
    ("services: {a: {image: x, ulimits: {core: {sof: 1}}}}", ["did you mean soft?"]),
    ("services: {a: {image: x, entrypoint: []}}", ["1:38:", "which program"]),
    ("services: {a: {image: !reset x}}", ["the tag"]),
    ("services: {a: &a {image: x, labels: *a}}", ["inside itself"]),
    ("services: &a {a: {image: x}}\nservices: {}", ["duplicate key"]),
    ("a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d]", ["20,000"]),
]  # fmt: skip


@pytest.mark.parametrize(("file", "told"), WRONG, ids=[row[0][:60] for row in WRONG])
def test_what_is_wrong_is_told_at_its_place(file: str, told: list[str]) -> None:
    with pytest.raises(Rejected) as rejected:
        composed(file)
    said = refused(rejected.value)
    for word in told:
        assert word in said, said


def test_no_comment_tells_a_secret() -> None:
    box = served(
        environment={"A": "hunter2", "B_TOKEN": "${B:-hunter2}", "C": "${C:-hunter2}"},
        secrets=["hunter2"],
        healthcheck={"test": "hunter2"},
    )
    assert not any("hunter2" in note for note in box.notes)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**22) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6) | st.sampled_from(["/a:/b", "80:80", "a:b", "$A", "${A:-b}", "1m", "true", "/x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "target", "source", "limits", "resources", "soft", "service", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*keys()]), ANY, max_size=5))
def test_any_service_gives_a_box_or_findings(service: dict[str, Any]) -> None:
    file = json.dumps({"services": {"a": {"image": "x", **service}}})
    try:
        box = compose.convert("compose.yaml", file, "a", "")
    except Rejected as rejected:
        assert refused(rejected)
        return
    value, _ = parse("box.yaml", to_yaml(box.value, box.notes, "title"))
    assert value["name"] == box.value["name"]


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_a_box_or_findings(text: str) -> None:
    for file in (text, f"services: {{a: {{image: x, command: {text}}}}}"):
        try:
            composed(file)
        except Rejected as rejected:
            assert refused(rejected)
