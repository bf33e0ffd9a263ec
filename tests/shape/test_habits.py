"""Keys and values as people write them for other tools: refused, with what is written here."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Finding, Path, Rejected
from krunc_compiler.pipeline.compiling import compile_all, compile_box
from krunc_compiler.shape.checking import check
from krunc_compiler.shape.habits import advised
from krunc_compiler.shape.refs import resolved
from krunc_compiler.usage import HELP, VERBS
from krunc_compiler.values.inputs import Inputs
from krunc_schema import load

SCHEMA, HABITS = load("box.schema"), load("habits")
REST: dict[str, Any] = {
    "krunc": 1,
    "name": "box",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}


def inputs() -> Inputs:
    """Inputs for family 1."""
    target = api.target("1")
    assert target is not None
    return Inputs(target)


def findings(box: dict[str, Any]) -> list[Finding]:
    """What is said of BOX, errors alone."""
    with pytest.raises(Rejected) as caught:
        compile_all("box.yaml", json.dumps(box), inputs())
    return [item.finding for item in caught.value.findings if not item.finding.warning]


def hint(box: dict[str, Any], code: str = "KR101") -> str:
    """The one hint that findings of CODE have about BOX."""
    (said,) = {found.hint for found in findings(box) if found.code == code}
    return said


def rules(place: str) -> list[dict[str, Any]]:
    """What the schema says of PLACE, such as shares[].path: one rule for each form."""
    found = [SCHEMA]
    for part in re.findall(r"\[\]|[^.\[\]]+", place):
        forms: Iterator[dict[str, Any]] = (
            form
            for rule in found
            for form in (rule, *rule.get("oneOf", ()), *rule.get("anyOf", ()))
        )
        whole = [resolved(form, SCHEMA["$defs"]) for form in forms]
        if part == "[]":
            below = [rule["items"] for rule in whole if "items" in rule]
        elif part == "*":
            below = [
                rule["additionalProperties"] for rule in whole if rule.get("additionalProperties")
            ]
            below += [inner for rule in whole for inner in rule.get("properties", {}).values()]
        else:
            below = [
                rule["properties"][part] for rule in whole if part in rule.get("properties", {})
            ]
        found = [resolved(rule, SCHEMA["$defs"]) for rule in below]
    return found


BARE = [
    (place, name.replace("_", ""))
    for place, rows in HABITS["keys"].items()
    for row in rows
    for name in row["names"]
]
ROWS = [(place, row) for place, rows in HABITS["keys"].items() for row in rows]
WAYS = [(place, name, row) for place, row in ROWS for name in row["names"]]
SPELLED: list[Callable[[str], str]] = [str, lambda name: name.replace("_", ""), lambda name: name.replace("_", "-"), lambda name: re.sub("_(.)", lambda m: m[1].upper(), name)]  # fmt: skip


@pytest.mark.parametrize(("place", "row"), ROWS, ids=lambda value: str(value)[:40])
def test_what_is_advised_is_there(place: str, row: dict[str, Any]) -> None:
    assert not place or rules(place)
    assert "to" in row or "say" in row
    for target in row.get("to", ()):
        assert rules(target), target
    if "write" in row:
        assert not check({**REST, **yaml.safe_load(row["write"])}, SCHEMA)
    for name in row["names"]:
        assert re.fullmatch("[a-z0-9_]+", name)
        bare = name.replace("_", "")
        others = [(there, other) for there, other in BARE if there == place and other == bare]
        assert len(others) == 1, name


def within(place: str, key: str) -> dict[str, Any]:
    """A box with KEY in the map at PLACE."""
    box: Any = json.loads(json.dumps(REST))
    inside = box
    for part in re.findall(r"\[\]|[^.\[\]]+", place):
        if part == "[]":
            inside.append({})
            inside = inside[0]
        else:
            name = "NAME" if part == "*" else part
            has_items = bool(re.search(rf"(^|\.){name}\[\]", place))
            inside = inside.setdefault(name, [] if has_items else {})
    inside[key] = "x"
    return dict(box)


@pytest.mark.parametrize(("place", "name", "row"), WAYS, ids=lambda value: str(value)[:30])
def test_a_key_of_another_tool(place: str, name: str, row: dict[str, Any]) -> None:
    for spelled in {way(name) for way in SPELLED}:
        forms = (form for rule in rules(place) for form in (rule, *rule.get("oneOf", ())))
        if any(spelled in form.get("properties", {}) for form in forms):
            continue  # by now it is a key of ours
        said = [found for found in findings(within(place, spelled)) if found.code == "KR101"]
        assert len(said) == 1
        for target in row.get("to", ()):
            assert target.rpartition(".")[2] in said[0].hint
        assert row.get("write", "") in said[0].hint
        assert row.get("say", "") in said[0].hint


ELSEWHERE: list[tuple[dict[str, Any], str]] = [
    ({"memory": "1GiB"}, "memory belongs under machine"),
    ({"cpus": 2}, "cpus belongs under machine"),
    ({"args": []}, "args belongs under entrypoint"),
    ({"workdir": "/"}, "workdir belongs under entrypoint"),
    ({"nofile": 1}, "nofile belongs under limits"),
    ({"uid": 1}, "did you mean entrypoint.user?"),
    ({"machine": {"limits": {}}}, "limits belongs at the top of the box"),
    ({"machine": {"kernel": {}}}, "kernel belongs under boot or console"),
    (
        {"entrypoint": {"executable": "/bin/a", "shares": []}},
        "shares belongs at the top of the box",
    ),
    ({"env": {}}, "env belongs under entrypoint"),
    ({"mount": "/a"}, "mount belongs under shares[] or disks[]"),
    ({"rootfs": {"path": "./a", "mount": "/"}}, "mount belongs under shares[] or disks[]"),
    ({"path": "./a"}, "path belongs under rootfs, shares[], disks[], tmpfs[] or 3 more"),
    ({"shares": [{"tag": "a", "path": "./a", "env": {}}]}, "env belongs under entrypoint"),
    ({"shares": [{"tag": "a", "path": "./a", "name": "b"}]}, "did you mean tag?"),
    ({"network": {"mode": "none", "hostname": "a"}}, "hostname belongs at the top of the box"),
    (
        {"log": {"hosts": {}}},
        "hosts belongs at the top of the box or under extensions.smolmachines.egress",
    ),
    (
        {"machine": {"x-a": 1}},
        "move it to the top of the box, where alone keys that start with x- are allowed",
    ),
]


@pytest.mark.parametrize(("part", "said"), ELSEWHERE, ids=lambda value: str(value)[:40])
def test_a_key_of_another_map(part: dict[str, Any], said: str) -> None:
    assert hint({**REST, **part}) == said


def maps(rule: dict[str, Any], place: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every map of keys that a box may have below RULE, at its place, with one item of a list."""
    whole = resolved(rule, SCHEMA["$defs"])
    if whole.get("additionalProperties") is False:
        yield place, whole
    for name, inner in whole.get("properties", {}).items():
        yield from maps(inner, (*place, name))
    for branch in (*whole.get("oneOf", ()), *whole.get("anyOf", ())):
        yield from maps(branch, place)
    if isinstance(whole.get("items"), dict):
        yield from maps(whole["items"], (*place, 0))


def test_every_key_at_every_wrong_place_is_told_where_it_belongs() -> None:
    every = list(maps(SCHEMA))
    keys = {key for _, rule in every for key in rule["properties"]}
    assert len(every) > 30
    assert len(keys) > 80
    for place in {place for place, _ in every}:
        own = {key for at, rule in every if at == place for key in rule["properties"]}
        for key in keys - own:
            finding = Finding("KR101", "", (*place, key), "use a known key: a, b")
            (told,) = advised([finding], {})
            assert told.hint != finding.hint, (place, key)


@pytest.mark.parametrize("key", ["hostname", "tables", "wages", "shields", "mesh"])
def test_a_key_that_is_no_near_miss_has_no_guess(key: str) -> None:
    if key not in SCHEMA["properties"]:
        assert hint({**REST, key: 1}).startswith("use a known key: ")


@pytest.mark.parametrize(
    ("key", "meant"),
    [("memroy", "memory"), ("cpsu", "cpus"), ("cpu_s", "cpus"), ("nestd", "nested"), ("Memory", "memory")],
)  # fmt: skip
def test_a_near_miss_has_one(key: str, meant: str) -> None:
    assert hint({**REST, "machine": {key: 1}}) == f"did you mean {meant}?"


def test_a_key_with_another_name_is_not_missing_too() -> None:
    box = {
        **REST,
        "shares": [{"source": "./a", "name": "a"}],
        "disks": [{"file": "a", "type": "raw"}],
    }
    missing = [found.path for found in findings(box) if found.code == "KR102"]
    assert missing == [("disks", 0)]  # its id


SIZES = {
    **dict.fromkeys(["512M", "512MiB"], 512),
    **dict.fromkeys(["1G", "1GiB", "1024M", "1024MiB"], 1024),
}
ODD_SIZES: dict[Any, str] = {
    **dict.fromkeys(["512m", "512MB", "512mb", "512Mi", "512mib", "512  MiB", "512 mb"], "did you mean 512MiB?"),
    **dict.fromkeys(["1g", "1GB", "1gb", "1Gi", "1  GiB", "1 GB"], "did you mean 1GiB?"),
    512: "write its unit, as in 512MiB",
    "512": "write its unit, as in 512MiB",
}  # fmt: skip
SIZED: list[tuple[str, Any]] = [
    ("machine", lambda size: {"memory": size}),
    ("rootfs", lambda size: {"path": "./a", "dax": size}),
    ("shares", lambda size: [{"tag": "a", "path": "./a", "dax": size}]),
    ("gpu", lambda size: {"flags": ["venus"], "window": size}),
]


@pytest.mark.parametrize(("key", "made"), SIZED, ids=lambda value: str(value)[:10])
def test_sizes(key: str, made: Any) -> None:
    for size in SIZES:
        assert not check({**REST, key: made(size)}, SCHEMA), size
    for size, said in ODD_SIZES.items():
        (found,) = findings({**REST, key: made(size)})
        assert found.hint == said, size
    for size in (
        "1TiB",
        "512K",
        "lots",
        "1e3M",
        "+1G",
        "\u0661G",
        "1GiB ",
        "-1M",
        "MiB",
        "M",
    ):
        (found,) = findings({**REST, key: made(size)})
        assert found.hint.startswith("write a number and its unit, MiB or GiB"), size


@pytest.mark.parametrize(("size", "mebibytes"), SIZES.items())
def test_a_size_is_what_it_says(size: str, mebibytes: int) -> None:
    plan = compile_box("box.yaml", json.dumps({**REST, "machine": {"memory": size}}), inputs())
    (row,) = (row for row in plan.operations if row.get("call") == "krun_set_vm_config")
    assert row["args"]["ram_mib"] == mebibytes


VALUES: list[tuple[dict[str, Any], str]] = [
    ({"shares": ["./src:/src:ro"]}, "write {tag: src, path: ./src, mount: /src}"),
    ({"shares": ["~/a:/home/b/"]}, "write {tag: b, path: ~/a, mount: /home/b/, read_only: false}, or without read_only where the guest need not write"),
    ({"shares": ["./src"]}, "write {tag: src, path: ./src}"),
    ({"disks": ["a/data.qcow2"]}, "write {id: data, path: a/data.qcow2, format: qcow2}"),
    ({"disks": ["data.img"]}, "write {id: data, path: data.img, format: raw}, or the format that it has"),
    ({"network": "host"}, "write {mode: passt}, with which the guest has a network of its own, {mode: tsi}, with which it reaches what the host user reaches, or {mode: none}"),
    ({"network": "bridge"}, "write {mode: passt}, with which the guest has a network of its own, or {mode: none}"),
    *(({"network": {"mode": "tsi", "ports": [port]}}, said) for port, said in {
        "127.0.0.1:8080:80": 'write "8080:80" with tsi, for the program in the guest chooses the address; passt takes an IPv4 address in front, as in 127.0.0.1:8080:80',
        "[::1]:8080:80": 'write "8080:80" with tsi, for the program in the guest chooses the address; passt takes an IPv4 address in front, as in 127.0.0.1:8080:80',
        "8080-8090:80-90": 'write each pair on its own: "8080:80" up to "8090:90"',
        "53:53/udp": "use passt, which takes HOST:GUEST/udp: tsi publishes TCP ports alone",
        "80:80/tcp": 'write "80:80", which is a TCP port',
        "9000": 'write "9000:9000", HOST:GUEST',
        9000: 'write "9000:9000", HOST:GUEST',
    }.items()),
    ({"network": {"mode": "tsi", "ports": [{"target": 80, "published": "8080"}]}}, 'write "8080:80", HOST:GUEST'),
    ({"entrypoint": {"executable": "python3"}}, "write the whole path in the guest, as in /usr/bin/python3; script: exec python3 looks for it in PATH"),
    ({"entrypoint": {"executable": "/bin/a", "args": "-m 'a b'  c"}}, 'write a list of the arguments: ["-m", "a b", "c"]'),
    ({"entrypoint": {"executable": "/bin/a", "args": "it's a"}}, 'write a list of the arguments: ["it\'s", "a"]'),
    ({"entrypoint": {"executable": "/bin/a", "env": ["A=1", "B=2"]}}, 'write a map: {A: "1"}'),
    ({"entrypoint": {"executable": "/bin/a", "env": [{"A": 1}]}}, "write a map: {NAME: value}"),
    ({"entrypoint": "/bin/a"}, "write a map: {executable: /bin/a}"),
    ({"entrypoint": "make all"}, 'write a map: {script: "make all"}'),
    ({"entrypoint": ["/bin/a", "-b"]}, "write a map: {executable: /bin/a, args: [...]}"),
    ({"limits": {"nofile": {"soft": 1, "hard": 2}}}, 'write "1:2", SOFT:HARD'),
    *(({"arch": arch}, "did you mean x86_64? write one of: x86_64, arm64") for arch in ("amd64", "AMD64", "x86-64", "x64", "linux/amd64")),
    *(({"arch": arch}, "did you mean arm64? write one of: x86_64, arm64") for arch in ("aarch64", "ARM64", "arm64/v8", "linux/arm64")),
    *(({"network": {"mode": mode}}, "did you mean none? write one of: tsi, none, passt, unixstream, unixgram, tap, devices") for mode in ("no", "off", "disabled", "isolated")),
    *(({"network": {"mode": mode}}, "write passt for a network of its own, tsi with which the guest reaches what the host user reaches, or none; allowed: tsi, none, passt, unixstream, unixgram, tap, devices")
      for mode in ("on", "yes", "host", "default")),
    *(({"network": {"mode": mode}}, "write passt, with which the guest has a network of its own, or none; allowed: tsi, none, passt, unixstream, unixgram, tap, devices") for mode in ("bridge", "nat", "slirp4netns")),
    ({"rootfs": "alpine:3.20"}, 'write a map: {image: "alpine:3.20"}'),
    ({"rootfs": "docker://alpine"}, 'write a map: {image: "docker://alpine"}'),
    ({"rootfs": "./rootfs"}, "write a map: {path: ./rootfs}"),
    ({"rootfs": "alpine"}, "write a map: {path: alpine} for a directory, or {image: alpine} for an image"),
    *(({"timeout": time}, said) for time, said in {30: "write its unit, as in 30s", "30": "write its unit, as in 30s",
        "30 minutes": "did you mean 30m?", "5min": "did you mean 5m?", "2 h": "did you mean 2h?",
        "1h30m": "write it in one unit, as in 90m for 1h30m"}.items()),
    ({"stop": {"grace": "10s"}}, "write the seconds without a unit: 10"),
    ({"entrypoint": ["ls", "-l"]}, "write a map: {executable: /usr/bin/ls, args: [...]}, with the whole path that ls has in the guest"),
    ({"entrypoint": {"executable": ["sh", "-c", "ls"]}}, "write executable: /usr/bin/sh, the whole path that sh has in the guest, and the rest in args"),
    *(({key: None}, "write its keys below it, further to the right") for key in ("rootfs", "entrypoint")),
    ({"disks": [{"id": "a", "path": "a.img", "format": "img"}]}, "did you mean raw? write one of: raw, qcow2, vmdk"),
    ({"disks": [{"id": "a", "path": "a.img", "format": "QCOW2"}]}, "did you mean qcow2? write one of: raw, qcow2, vmdk"),
    *(({"name": name}, "put it in quotes") for name in (12, 1000.0)),
    ({"rootfs": {"path": None}}, "write a value, and ~ in quotes: in YAML, ~ and nothing are null"),
    ({"entrypoint": {"executable": "/bin/a", "args": [None]}}, 'write "" for an empty string'),
]  # fmt: skip


@pytest.mark.parametrize(("part", "said"), VALUES, ids=lambda value: str(value)[:50])
def test_a_value_of_another_tool(part: dict[str, Any], said: str) -> None:
    (found,) = findings({**REST, **part})
    assert found.hint == said


COMMANDS = [(name, row) for row in HABITS["commands"] for name in row["names"]]


@pytest.mark.parametrize(("name", "row"), COMMANDS, ids=lambda value: str(value)[:10])
def test_a_command_of_another_tool(
    name: str, row: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert name not in VERBS
    assert [other for other, _ in COMMANDS].count(name) == 1
    if "to" in row:
        word = row["to"].split()[1]
        assert word in VERBS or f" {word} " in f" {HELP} "
    with pytest.raises(SystemExit) as ended:
        main([name, "a"])
    assert ended.value.code == 2
    said = row.get("say") or f"did you mean {row['to']}?"
    assert f"krunc: there is no command '{name}'; {said}" in capsys.readouterr().err


@pytest.mark.parametrize("places", HABITS["values"])
def test_each_place_of_values_is_there(places: str) -> None:
    for place in places.split():
        assert rules(place), place
        for row in HABITS["values"][places]:
            groups = re.compile(row["like"]).groups
            assert all(int(number) <= groups for number in re.findall(r"\\(\d)", row["say"]))


@pytest.mark.parametrize("piece", ["/", "a/", "a:", "a:/", "a ", "'", "0", "0:", "\\", "{", '["a=', "\n", "\u202e"])  # fmt: skip
def test_no_value_takes_long(piece: str) -> None:
    start = time.process_time()
    for size in (66, 199, 100_000):
        text = (piece * size)[:size]
        for place, made in (
            ("shares", [text]), ("disks", [text]), ("network", text), ("machine", {"memory": text}),
            ("network", {"mode": "tsi", "ports": [text]}), ("entrypoint", text),
            ("entrypoint", {"executable": text, "args": text, "env": [text]}), (text, 1),
        ):  # fmt: skip
            try:
                compile_all("box.yaml", json.dumps({**REST, place: made}), inputs())
            except Rejected as rejected:
                assert all(len(item.finding.hint) < 1000 for item in rejected.findings)
    assert time.process_time() - start < 20


# A number by an expression, where a string is wanted, and what the fix writes.
EXPRESSIONS: list[tuple[dict[str, Any], str]] = [
    ({"args": ["{{ n }}"]}, "write {{ n | string }}"),
    ({"args": ["a", "{{n}}"]}, "write {{ n | string }}"),
    ({"env": {"N": "{{ n + 1 }}"}}, "write {{ (n + 1) | string }}"),
    ({"args": [5]}, "put it in quotes"),
    ({"args": "{{ [n] }}"}, "put it in quotes"),
]


@pytest.mark.parametrize(("keys", "fix"), EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_an_expression_that_must_be_a_string(keys: dict[str, Any], fix: str) -> None:
    """It is in quotes already: the filter makes it a string."""
    entrypoint = {"executable": "/bin/a", **keys}
    box = {**REST, "vars": {"n": 1}, "entrypoint": entrypoint}
    assert hint(box, "KR103") == fix
