"""A value of any type at any place of an input leads to findings or to a result, never to a
traceback: nothing is looked up, compared or taken apart before its type is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from boxlite_specs import DISK, disks
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected, UsageError
from krunc_compiler.findings.report import report
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.pipeline.effective import effective
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.schema import plan_schema
from krunc_compiler.policy.files import policy_of
from krunc_compiler.review.summary import Review
from krunc_compiler.text.parsing import parse
from krunc_compiler.values.inputs import Inputs, Values
from krunc_schema import load
from reviews import BOX, reviewed_box
from whole_boxes import NAME, ONLY, WHOLE

# Written with a tag, which JSON cannot.
TAGGED = "!!binary aGk="
ODD: dict[str, Any] = {
    "a list": [],
    "a nested list": [[["a"]]],
    "a map": {},
    "a map of odd things": {"a": [1], "type": ["a", "b"], "mode": [], "from": {}, "code": {}},
    "a list of maps": [{"tag": ["a"], "path": {}, "id": None}],
    "null": None,
    "true": True,
    "a float": 1.5,
    "an int": 3,
    "a huge int": 10**39,
    "an empty string": "",
    "a string": "x",
    "an expression of a list": "{{ [[1], 'a'] }}",
    "an expression of a map": "{{ {'a': [1]} }}",
    "a tagged thing": TAGGED,
}  # fmt: skip
FEW = ("a nested list", "a map of odd things", "a list of maps", "null", "an int")
VARIABLES = {
    "vars": {
        "a": 1,
        "b": "x",
        "c": True,
        "d": 1.5,
        "s": {"type": "string", "default": "x", "description": "d", "enum": ["x", "y"]},
        "n": {"type": "integer", "default": 2, "minimum": 1, "maximum": 9},
        "f": {"type": "number", "default": 0.5, "enum": [0.5, 2]},
        "t": {"type": "boolean", "default": True},
    },
    "allow": [{"code": "KR603", "reason": "why"}],
    "machine": {"cpus": "{{ n }}", "memory": "{{ a }}GiB", "oem_strings": ["{{ s ~ b ~ c ~ d }}"]},
}
COLUMNS = {
    "matrix": {"p": [1, "a", True], "q": {"from": 1, "to": 2}},
    "name": "one-{{ p }}-{{ q }}",
}
ROWS = {"matrix": [{"p": 1, "q": "a"}, {"p": 2, "q": "b"}], "name": "one-{{ p }}-{{ q }}"}
COMPOSE = {
    "services": {
        "base": {
            "image": "a:1",
            "profiles": ["p"],
            "environment": ["A=b", "C"],
            "labels": {"a": "b"},
        },
        "web": {
            "extends": {"service": "base"},
            "command": ["a"],
            "entrypoint": "/a",
            "environment": {"D": "${E:-f}", "G": "$H"},
            "ports": ["1:1", {"target": 2, "published": "3", "host_ip": "127.0.0.1"}],
            "volumes": [
                "a:/a",
                "./b:/b:ro",
                {"type": "bind", "source": "./c", "target": "/c", "bind": {"propagation": "slave"}},
                {"type": "tmpfs", "target": "/d", "tmpfs": {"size": "1m", "mode": 1777}},
            ],
            "tmpfs": ["/e:size=1m"],
            "ulimits": {"core": 1, "nofile": {"soft": 1, "hard": 2}},
            "extra_hosts": {"a": ["10.0.0.1"]},
            "networks": {"n": {"aliases": ["a"]}},
            "deploy": {"resources": {"limits": {"cpus": "1", "memory": "1g", "pids": 9}}},
            "stop_grace_period": "1m",
            "read_only": True,
            "user": "1:1",
            "cap_drop": ["ALL"],
            "security_opt": ["label=disable"],
        },
    },
    "networks": {"n": {"internal": True}, "m": None},
}
BUNDLE = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["/a", "b"],
        "cwd": "/",
        "env": ["A=b"],
        "user": {"uid": 1, "gid": 1, "additionalGids": [2], "umask": 18},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
        "capabilities": {"bounding": ["CAP_KILL"]},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "a",
    "mounts": [
        {"destination": "/a", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]},
        {"destination": "/t", "type": "tmpfs", "options": ["size=1m", "mode=1777"]},
    ],
    "hooks": {"prestart": [{"path": "/x"}]},
    "annotations": {"a": "b"},
    "linux": {
        "namespaces": [{"type": "network", "path": "/run/n"}],
        "resources": {
            "devices": [{"allow": True}],
            "memory": {"limit": 1 << 30},
            "cpu": {"quota": 1000, "period": 1000},
            "pids": {"limit": 5},
        },
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
    },
}
POLICY = {
    "krunc_policy": 1,
    "message": "ask",
    "boxes": "*",
    "allow": {
        "writes": ["./a"],
        "reads": ["./a"],
        "roots": ["./a"],
        "sockets": ["runtime:"],
        "networks": ["tsi"],
        "ports": [80, "81-90"],
        "secrets": ["A_*", "./s"],
        "devices": ["GPU", "/dev/x"],
        "memory": "1GiB",
        "cpus": 2,
        "names": "o*",
    },
    "labels": ["owner"],
    "isolation": ["kernel", "user"],
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:x",
    "$defs": {"x": {"type": "object"}},
    "title": "t",
    "x-message": "ask",
    "type": "object",
    "required": ["box"],
    "properties": {
        "box": {"pattern": "^x", "x-message": "say", "minLength": 1},
        "host_access": {"contains": {"const": 1}, "items": {"$ref": "#/$defs/x"}, "maxItems": 3},
        "machine": {"anyOf": [{"enum": ["a"]}, {"not": {"type": ["string", "null"]}}]},
    },
}
SPEC = {
    **disks(DISK, root={"Disk": {"device_path": "/dev/vda", "disk_path": "DIR/a.img"}}),
    "cpus": 1,
    "memory_mib": 512,
    "network_config": {"socket_path": "s", "port_mappings": [[8080, 80]]},
    "disable_network": False,
    "console_output": "out",
    "engine": "x",
    "security": {},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in VALUE."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of VALUE with NEW at PATH."""
    if not path:
        return new
    value = inside = deepcopy(value)
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = new
    return value


def written(value: Any) -> str:
    """VALUE as YAML, which JSON is but for the tag."""
    return json.dumps(value).replace(json.dumps(TAGGED), TAGGED)


def everywhere(
    value: Any, seen: set[str] | None = None, names: Iterable[str] = ODD
) -> Iterator[tuple[str, str]]:
    """VALUE with each odd thing at each place that is not in SEEN, and what is where."""
    for path in places(value):
        key = ".".join("*" if isinstance(part, int) else part for part in path)
        if seen is not None and key in seen:
            continue
        if seen is not None:
            seen.add(key)
        for name in names:
            yield f"{name} at {path}", written(put(value, path, ODD[name]))


def reads(text: str, *given: Values, target: str = "2", name: str = "box.yaml") -> bool:
    """Whether the boxes in TEXT compile; else there are findings that can be shown."""
    chosen = api.target(target)
    assert chosen is not None
    inputs = Inputs(chosen, given)
    try:
        made, warned = compile_all(name, text, inputs)
    except Rejected as rejected:
        assert " error" in report(rejected.findings).splitlines()[-1]
        return False
    report(warned)
    for one in made:
        to_text(one.plan).encode()
    if "vars" in text:
        effective(name, text, inputs)
    return True


def box(name: str) -> Any:
    return parse("box.yaml", WHOLE[name])[0]


def test_in_a_box() -> None:
    seen: set[str] = set()
    for name in WHOLE:
        target = ONLY.get(WHOLE[name], "1")
        assert reads(WHOLE[name], target=target, name=NAME)
        for what, text in everywhere(box(name), seen):
            try:
                reads(text, target=target, name=NAME)
            except Exception as error:
                raise AssertionError(what) from error
    assert len(seen) > 100


def words_of(rule: Any) -> Iterator[str]:
    """Every key that a value may have that fits RULE, a JSON Schema."""
    if isinstance(rule, dict):
        yield from rule.get("properties", ())
    for item in rule.values() if isinstance(rule, dict) else rule:
        if isinstance(item, dict | list):
            yield from words_of(item)


@pytest.mark.parametrize("target", ["1", "1.19", "2"])
@pytest.mark.parametrize("more", [{}, {"hostname": "here"}], ids=["init", "stage"])
def test_a_variable_with_the_name_of_anything_in_a_plan(target: str, more: dict[str, str]) -> None:
    """What the program's variables are called says nothing of a plan: `process` is a key of the
    guest's configuration."""
    names = sorted(set(words_of(plan_schema())))
    assert {"process", "file", "opened", "from_env"} <= set(names)
    for at in range(0, len(names), 40):
        for value in ("x", {"from_env": "A"}, {"from_file": "./a"}):
            variables = dict.fromkeys(names[at : at + 40], value)
            program = {"executable": "/bin/a", "env": variables}
            assert reviewed_box({**BOX, **more, "entrypoint": program}, target).facts()


@pytest.mark.parametrize("keys", [VARIABLES, COLUMNS, ROWS], ids=["vars", "columns", "rows"])
def test_in_what_a_box_says_of_itself(keys: dict[str, Any]) -> None:
    whole = {**BOX, **keys}
    for place in [path for path in places(whole) if path[:1] in [(key,) for key in keys]]:
        for name, odd in ODD.items():
            try:
                reads(written(put(whole, place, odd)))
            except Exception as error:
                raise AssertionError(f"{name} at {place}") from error


@pytest.mark.parametrize("over", [True, False], ids=["over", "below"])
@pytest.mark.parametrize("name", ["storage", "vars"])
def test_in_a_box_that_is_extended(
    name: str, over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {**BOX, **VARIABLES} if name == "vars" else box(name)
    plain = {**whole, "extends": "base.yaml"}
    for what, text in everywhere(whole, set(), FEW):
        base, top = (written(whole), text) if over else (text, written(plain))
        if over and top.startswith("{"):
            top = (
                '{"extends": "base.yaml", ' + top[1:] if top != "{}" else '{"extends": "base.yaml"}'
            )
        Path("base.yaml").write_text(base)
        try:
            reads(top)
        except Exception as error:
            raise AssertionError(what) from error


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_in_extends(odd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(written(BOX))
    for value in (odd, [odd], ["base.yaml", odd]):
        assert not reads(written({**BOX, "extends": value}))


def test_in_a_file_of_variables() -> None:
    declared = {**BOX, **VARIABLES}
    for name in (*VARIABLES["vars"], "unknown"):
        for odd in ODD.values():
            try:
                values, source = parse("vars.yaml", written({name: odd}))
            except Rejected:
                continue
            reads(written(declared), Values(values, source))


def test_in_variables_of_which_the_rule_is_odd() -> None:
    for path in places(VARIABLES["vars"], ("vars",)):
        for odd in ODD.values():
            text = written(put({**BOX, **VARIABLES}, path, odd))
            odd_values: tuple[Any, ...] = ([[1]], {"a": []}, None, 10**39, "y", 2, True)
            for given in odd_values:
                try:
                    values, source = parse(
                        "vars.yaml", written({path[1] if path[1:] else "a": given})
                    )
                except Rejected:
                    continue
                reads(text, Values(values, source))


@pytest.fixture(scope="module")
def review() -> Review:
    return reviewed_box(
        {**BOX, **{key: value for key, value in box("directory").items() if key != "limits"}}, "1"
    )


@pytest.mark.parametrize("policy", [POLICY, SCHEMA], ids=["rules", "schema"])
def test_in_a_policy(policy: dict[str, Any], review: Review, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    for what, text in everywhere(policy):
        file.write_text(text)
        try:
            report_of(file, review)
        except Exception as error:
            raise AssertionError(what) from error


def report_of(file: Path, review: Review) -> None:
    try:
        policy = policy_of(str(file))
        policy.judge(review, str(file.parent))
        policy.rules_broken(review, str(file.parent))
    except Rejected as rejected:
        assert " error" in report(rejected.findings).splitlines()[-1]


@pytest.mark.parametrize("tool", ["boxlite", "compose", "oci"])
def test_in_what_is_imported(tool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"boxlite": SPEC, "compose": COMPOSE, "oci": BUNDLE}[tool]
    file = tmp_path / "config.json"
    for what, text in everywhere(value):
        file.write_text(text)
        try:
            status = main(["import", tool, str(tmp_path if tool == "oci" else file)])
        except Exception as error:
            raise AssertionError(what) from error
        out, err = capsys.readouterr()
        assert status in (0, 1)
        assert bool(out) is (status == 0)
        assert bool(err) is (status == 1)


@pytest.mark.parametrize("key", load("box.schema")["properties"])
def test_every_key_of_a_box_is_tried(key: str) -> None:
    tried = [box(name) for name in WHOLE] + [VARIABLES, COLUMNS, {"extends": ""}]
    assert any(key in value for value in tried)


def test_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(written({**BOX, **VARIABLES}))
    for name in (*VARIABLES["vars"], "unknown", ""):
        for odd in ("[a]", "{a: b}", "", "~", "1.5", "9" * 39, "!!x", "\udcff", "{{ a }}", "true"):
            command = ["compile", str(file), "-o", "-", "--set", f"{name}={odd}"]
            try:
                assert main(command) in (0, 1)
            except UsageError:
                continue
            capsys.readouterr()
