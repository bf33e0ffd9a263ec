"""Advice is right: whoever follows it has a box that fits, and one that says what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from krunc_compiler.findings.finding import Finding, Path
from krunc_compiler.importing import compose_keys
from krunc_compiler.shape import habits
from krunc_compiler.shape.checking import check
from krunc_compiler.shape.refs import resolved
from krunc_schema import load

SCHEMA, HABITS = load("box.schema"), load("habits")
REST: dict[str, Any] = {
    "krunc": 1,
    "name": "box",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/a"},
}


def findings(box: dict[str, Any]) -> list[Finding]:
    """What the shape of BOX is told."""
    return habits.advised(check(box, SCHEMA, habits.meant), box, box)


def hint(part: dict[str, Any]) -> str:
    """The one hint about a box with PART."""
    (found,) = findings({**REST, **part})
    return found.hint


def whole(rule: dict[str, Any]) -> dict[str, Any]:
    """RULE with what its $ref names."""
    return resolved(rule, SCHEMA["$defs"])


def forms(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """The forms that a value of RULE can have."""
    return [whole(form) for form in whole(rule).get("oneOf", [rule])]


def places(rule: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every value that a box may have below RULE, at its place, with one item of a list."""
    for form in forms(rule):
        for key, inner in form.get("properties", {}).items():
            yield (*path, key), inner
            yield from places(inner, (*path, key))
        if isinstance(form.get("items"), dict):
            yield (*path, 0), form["items"]
            yield from places(form["items"], (*path, 0))


def boxed(path: Path, value: Any) -> dict[str, Any]:
    """A box with VALUE at PATH, and beside it what a whole map has to have."""
    box: Any = json.loads(json.dumps({key: REST[key] for key in REST if key != path[0]}))
    rule: dict[str, Any] = SCHEMA
    inside = box
    for number, part in enumerate(path):
        below = path[number + 1 :]
        fitting = [form for form in forms(rule) if _has(form, path[number:])]
        form = fitting[0]
        if isinstance(part, str):
            for key in form.get("required", ()):
                if key != part and key not in inside:
                    inside[key] = an_example(form["properties"][key])
        rule = form["items"] if part == 0 else form["properties"][part]
        made: Any = value if not below else ([] if below[0] == 0 else {})
        if part == 0:
            inside.append(made)
        else:
            inside[part] = made
        inside = made
    return dict(box)


def _has(form: dict[str, Any], path: Path) -> bool:
    """Whether a value of FORM can have one at PATH."""
    if not path:
        return True
    part, *below = path
    inner = form.get("items") if part == 0 else form.get("properties", {}).get(part)
    return isinstance(inner, dict) and any(_has(one, tuple(below)) for one in forms(inner))


def an_example(rule: dict[str, Any]) -> Any:
    """A value that fits RULE."""
    form = forms(rule)[0]
    tried = [
        form.get("const"),
        form.get("default"),
        *form.get("enum", ()),
        *form.get("examples", ()),
    ]
    tried += [1, 3, "a", "/a", "YQ==", "0755", "80:80", "10m", True]
    if "items" in form:
        tried.append([an_example(form["items"])])
    if "properties" in form:
        needed = form.get("required", list(form["properties"])[:1])
        tried.append({key: an_example(form["properties"][key]) for key in needed})
    for value in [*tried, {}]:
        if value is not None and not check(value, {**form, "$defs": SCHEMA["$defs"]}):
            return value
    raise AssertionError(rule)


EVERY = list(dict(places(SCHEMA)).items())
ODD: list[Any] = [
    True,
    5,
    1.5,
    "512MiB",
    "none",
    "tsi",
    "/a",
    "a b",
    [],
    ["a"],
    {},
    {"zz": 1},
    None,
]
_WRITTEN = re.compile(r"write a (?:list|list of maps|map): ([\[{].*?[\]}])(?:, where|$)")


def test_every_place_is_looked_at() -> None:
    assert len(EVERY) > 150
    for path, rule in EVERY:
        box = boxed(path, an_example(rule))
        assert not [found for found in findings(box) if found.path[: len(path)] == path], path


@pytest.mark.parametrize("value", ODD, ids=json.dumps)
def test_what_is_written_out_for_a_value_fits(value: Any) -> None:
    """Whoever writes the list or the map of the fix has one that fits, as far as it is written."""
    written = 0
    for path, _ in EVERY:
        for found in findings(boxed(path, value)):
            shown = _WRITTEN.search(found.hint) if found.path == path else None
            if shown is None or "..." in shown[1]:
                continue
            written += 1
            fixed = boxed(path, yaml.safe_load(shown[1].replace("NAME", "n")))
            left = [again for again in findings(fixed) if again.path[: len(path)] == path]
            assert all(again.code == "KR102" for again in left), (path, found.hint, left)
    assert written or not isinstance(value, str | int) or value in (1.5, "a b")


def several_maps() -> Iterator[tuple[Path, str, dict[str, Any], list[dict[str, Any]]]]:
    """Every key that a form of several has, the form and its siblings."""
    for path, rule in EVERY:
        maps = [form for form in forms(rule) if form.get("type") == "object"]
        for form in maps:
            for key in form.get("properties", ()):
                yield path, key, form, [other for other in maps if other is not form]


@pytest.mark.parametrize("value", [[], ["a"], {"zz": 1}, None, True, 1.5], ids=json.dumps)
def test_a_value_of_the_wrong_type_is_told_as_that(value: Any) -> None:
    """A key belongs to its form, whatever is below it: it is not unknown."""
    count = 0
    for path, key, form, others in several_maps():
        inner = form["properties"][key]
        if not check(value, {**whole(inner), "$defs": SCHEMA["$defs"]}):
            continue
        if "const" in whole(inner):
            continue  # which says what form it is
        count += 1
        made = {name: an_example(form["properties"][name]) for name in form.get("required", ())}
        found = findings(boxed(path, {**made, key: value}))
        at = [one for one in found if one.path[: len(path) + 1] == (*path, key)]
        assert at, (path, key, found, others)
        unknown = [one for one in at if one.code == "KR101" and one.path == (*path, key)]
        assert not unknown, (path, key)
    assert count > 50


@pytest.mark.parametrize("spelled", [lambda key: f"{key}s", lambda key: key[:-1], str.upper])
def test_a_misspelt_key_is_of_the_form_that_has_it(spelled: Callable[[str], str]) -> None:
    """Another form, which has no such key, is not what was meant."""
    count = 0
    for path, key, form, others in several_maps():
        near = spelled(key)
        known = {name for one in (form, *others) for name in one["properties"]}
        if not others or near in known or len(key) < 4 or "const" in whole(form["properties"][key]):
            continue
        needed = form.get("required", [form.get("x-own", key)])
        made = {name: an_example(form["properties"][name]) for name in needed}
        made[near] = made.pop(key, None) or an_example(form["properties"][key])
        found = [one for one in findings(boxed(path, made)) if one.path[: len(path)] == path]
        count += 1
        assert [(one.path, one.hint) for one in found] == [((*path, near), f"did you mean {key}?")]
    assert count > 20


def test_a_script_that_is_a_list() -> None:
    for value in (["a", "b"], {"a": 1}):
        (found,) = findings({**REST, "entrypoint": {"script": value}})
        assert (found.code, found.path) == ("KR103", ("entrypoint", "script"))
        assert (
            found.hint == "write script: |, and the script's lines below it, further to the right"
        )


def test_words_beside_maps_are_not_all_that_may_be_written() -> None:
    """Where a value is one of a few words or a map, the fix has the map too."""
    count = 0
    for path, rule in EVERY:
        some = forms(rule)
        maps = [form for form in some if form.get("type") == "object"]
        if not maps or not any("enum" in form for form in some):
            continue
        count += 1
        for value in ("zzz", "/tmp/x", 3, True):
            (found,) = (one for one in findings(boxed(path, value)) if one.path == path)
            for form in maps:
                assert f"{{{form['required'][0]}: " in found.hint, (path, value, found.hint)
    assert count > 5


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"rootfs": {"path": ".", "changes": "d"}}, "write one of: discard, host, {disk: d}"),
        ({"rootfs": {"path": ".", "changes": "disk"}}, "write one of: discard, host, {disk: ...}"),
        (
            {"rootfs": {"path": ".", "changes": "discrad"}},
            "did you mean discard? write one of: discard, host, {disk: ...}",
        ),
        ({"rootfs": {"image": "a:1", "changes": "d"}}, "write one of: discard, {disk: d}"),
        (
            {"log": {"target": "/tmp/x"}},
            "write one of: stderr, stdout, {file: /tmp/x}, {fd: ...}",
        ),
        ({"log": {"target": 3}}, "write one of: stderr, stdout, {file: ...}, {fd: 3}"),
        ({"machine": "512MiB"}, "write a map: {memory: 512MiB}"),
        ({"machine": 4}, "write a map: {cpus: 4}"),
        ({"rootfs": {"path": ".", "overlay": True}}, "write a list of maps: [{path: ...}]"),
        ({"network": "tsi"}, "write a map: {mode: tsi}"),
        ({"labels": "foo"}, "write a map: {NAME: foo}"),
        *(({"hosts": hosts}, 'write a map: {db: "10.0.0.5"}') for hosts in ("db:10.0.0.5", "db=10.0.0.5", ["db:10.0.0.5"], ["db: 10.0.0.5", "a:1.1.1.1"])),
        ({"hosts": "db.example"}, "write a map: {NAME: ...}"),
        ({"log": True}, "write a map: {KEY: ...}, where KEY is one of level, target, style, environment"),
        ({"limits": {"nofile": "1024"}}, "write the number without quotes, for soft and hard: 1024"),
        ({"limits": {"nofile": "1:2k"}}, 'write a number for both, as in 1024, or SOFT:HARD in quotes, as in "4096:8192"'),
        ({"limits": {"nofile": "1k"}}, "write all of the number, as in 65536 for 64K"),
        ({"limits": {"nofile": "1-2"}}, 'write "1:2", SOFT:HARD'),
        *(({"limits": {"fsize": size}}, "write the number of bytes, as in 67108864 for 64MiB") for size in ("64MiB", "1.5G", "10 kb", "1T")),
        *(({"limits": {key: "unlimited"}}, "write the number; the largest is 18446744073709551615") for key in ("as", "nofile")),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_a_value(part: dict[str, Any], said: str) -> None:
    assert hint(part) == said


UNITS = {
    "s": "s sec secs second seconds S Seconds",
    "m": "m min mins minute minutes M Min",
    "h": "h hr hrs hour hours H Hours",
}
OTHER_UNITS = "ms msec us ns month months mon millennium d day days w weeks y sheep hm mh M5 mm"


def test_a_time_is_never_another_time() -> None:
    for number in (1, 5, 500):
        for space in ("", " "):
            for unit, names in UNITS.items():
                for name in names.split():
                    text = f"{number}{space}{name}"
                    if text != f"{number}{unit}":
                        assert hint({"timeout": text}) == f"did you mean {number}{unit}?"
            for name in OTHER_UNITS.split():
                for part in (
                    {"timeout": f"{number}{space}{name}"},
                    {"stop": {"grace": f"{number}{space}{name}"}},
                ):
                    said = hint(part)
                    assert "did you mean" not in said
                    assert not said.startswith("write the seconds without a unit:"), part
    assert hint({"timeout": "500ms"}) == "write whole seconds; the shortest timeout is 1s"
    assert hint({"timeout": "2 days"}) == "write it in hours: a day is 24h"
    assert hint({"stop": {"grace": "10 sec"}}) == "write the seconds without a unit: 10"
    assert hint({"stop": {"grace": "500ms"}}).startswith("write whole seconds, ")


PORTS = [
    "127.0.0.1:0022:22", "0022:22", "22:0022", "0022", "[::1]:8080:80", "localhost:8080:80", "::1:80:80",
    "*:80:80", "[::]:80:80", "[fd00::1]:80:80", "db.local:80:80", "127.0.0.1:80", "0.0.0.0:5353/udp",
    "8080:80/sctp", "8080:80/UDP", "8080:80/TCP", "80", "8000-8005:9000-9005", "8000-8005",
    "127.0.0.1:8000-8005:9000-9005/udp", "[::1]:53:53/udp", ":80:80", "a", "80:80:80:80", "127.0.0.1::80",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["tsi", "passt"])
@pytest.mark.parametrize("port", PORTS)
def test_the_fix_of_a_port_is_for_its_mode(mode: str, port: str) -> None:
    said = hint({"network": {"mode": mode, "ports": [port]}})
    for fixed in re.findall(r'"([^"]*)"', said):
        assert not check({**REST, "network": {"mode": mode, "ports": [fixed]}}, SCHEMA), said
    if mode == "passt" and not port.endswith("sctp"):
        assert "tsi" not in said
    if re.search("(^|:)0[0-9]", port):
        assert said == "write each port without zeros in front, as in 22 for 0022"


def test_advice_opens_no_more_than_was_asked_for() -> None:
    """No key of another tool becomes TSI, by which the guest reaches all that the host user does;
    and a port is published for the host alone, as passt takes it."""
    for rows in HABITS["keys"].values():
        for row in rows:
            assert "tsi" not in row.get("write", "")
            for port in re.findall(r'ports: \["([^"]*)"', row.get("write", "")):
                assert port.startswith("127.0.0.1:")
    for key in ("ports", "expose", "portForwards", "forwardPorts", "forward_ports", "PublishPort"):
        assert hint({key: ["8080:80"]}).endswith(
            'write network: {mode: passt, ports: ["127.0.0.1:8080:80"]}'
        )
    assert "tsi" not in hint({"networks": ["a"]})
    assert "tsi" not in hint({"network": "bridge"})


READ_ONLY = [
    ("rootfs", lambda keys: {"rootfs": {"path": ".", **keys}}),
    ("rootfs", lambda keys: {"rootfs": {"disk": "a", **keys}}),
    ("rootfs", lambda keys: {"rootfs": {"image": "a", **keys}}),
    ("shares", lambda keys: {"shares": [{"tag": "a", "path": ".", **keys}]}),
    ("disks", lambda keys: {"disks": [{"id": "a", "path": ".", "format": "raw", **keys}]}),
]


@pytest.mark.parametrize("key", ["writable", "writeable", "Writable", "rw", "write", "readWrite"])
@pytest.mark.parametrize(("_", "made"), READ_ONLY)
def test_a_key_that_says_the_opposite_is_turned_round(key: str, _: str, made: Any) -> None:
    for value in (True, False):
        assert hint(made({key: value})) == f"write read_only: {json.dumps(not value)}"
    assert hint(made({key: "yes"})) == "write read_only, which says the opposite: true or false"


def test_no_name_that_says_the_opposite_is_a_plain_one() -> None:
    for place, rows in HABITS["keys"].items():
        for row in rows:
            if any(name.endswith("read_only") for name in row.get("to", ())):
                opposite = [name for name in row["names"] if "writ" in name or name == "rw"]
                assert opposite == (row["names"] if row.get("opposite") else []), (place, row)


@pytest.mark.parametrize(
    "no", ["no_", "no", "not_", "non-", "un", "dis", "disable_", "without-", "skip_"]
)
def test_a_key_that_denies_another_is_not_taken_for_it(no: str) -> None:
    for path, rule in [((), SCHEMA), *EVERY]:
        for form in forms(rule):
            for key in form.get("properties", {}):
                box = boxed(path, {f"{no}{key}": True}) if path else {**REST, f"{no}{key}": True}
                at = (*path, f"{no}{key}")
                said = [found.hint for found in findings(box) if found.path == at]
                assert all(f"did you mean {key}?" not in one for one in said), (path, key)


FAR = [
    ({"name_servers": ["1.1.1.1"]}, "did you mean dns?"),
    ({"containerd": {}}, "remove it: "),
    ({"runArgs": []}, "write each option as a key of the box; `krunc import docker-run`"),
    ({"allow_hosts": []}, "did you mean extensions.smolmachines.egress?"),
    ({"init": True}, "init belongs under boot; for a program instead of libkrun's init"),
    ({"runtime": "runc"}, "remove it: each box is a Linux microVM"),
    ({"shares": [{"tag": "a", "path": ".", "options": "noexec"}]}, "remove it: a share"),
    ({"shares": [{"tag": "a", "path": ".", "mode": "ro"}]}, "did you mean read_only?"),
    ({"shares": [{"tag": "a", "path": ".", "access": "read-only"}]}, "did you mean read_only?"),
    ({"tmpfs": [{"target": "/run"}]}, "did you mean path?"),
    ({"network_of_host": 1}, "use a known key: agent, allow, arch, boot, "),
]


@pytest.mark.parametrize(("part", "said"), FAR, ids=str)
def test_what_is_far_off_is_not_guessed(part: dict[str, Any], said: str) -> None:
    assert hint(part).startswith(said)


OTHERS = """
Image Exec Environment EnvironmentFile Volume PublishPort Network User HostName ContainerName ReadOnly
AddCapability DropCapability ShmSize Sysctl Ulimit PidsLimit StopTimeout StopSignal Label Annotation
WorkingDir Tmpfs Secret RunInit NoNewPrivileges Timezone Pull HealthCmd LogDriver GroupAdd AutoUpdate IP
hostResolver ssh mountType mountInotify mountTypesUnsupported vmType containerd images mounts portForwards
provision probes caCerts propagateProxyEnv rosetta video plain copyToHost cpuType os message additionalDisks
remoteUser containerUser workspaceFolder workspaceMount postCreateCommand postStartCommand onCreateCommand
containerEnv remoteEnv forwardPorts appPort runArgs dockerComposeFile customizations
TemporaryFileSystem Bind BindReadOnly Ephemeral PrivateUsers Capability ResolvConf WorkingDirectory Private
cpus memory
"""


def test_keys_of_other_tools_are_translated() -> None:
    """Those of Compose are those that `krunc import compose` knows."""
    keys = [*compose_keys.keys(), *OTHERS.split()]
    assert len(keys) > 130
    unknown = [key for key in keys if key not in SCHEMA["properties"]]
    told = {key: hint({key: "x"}) for key in unknown}
    assert {key for key, said in told.items() if said.startswith("use a known key")} == set()


def test_known_keys_are_listed_in_order() -> None:
    listed = hint({"quux": 1}).removeprefix("use a known key: ").split(", ")
    assert listed == sorted(SCHEMA["properties"].keys() - REST.keys())
