"""The contracts agree with each other and with the standards that they name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from krunc_compiler.__main__ import main
from krunc_compiler.lowering.storage import ROOT_TAG
from krunc_compiler.plan.schema import plan_schema
from krunc_schema import load


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every map within SCHEMA."""
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            # The names under properties are no rules themselves.
            for part in value.values() if key == "properties" else [value]:
                yield from parts(part)
    if isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def forms(schema: dict[str, Any]) -> dict[str, Any]:
    """SCHEMA without its conditions on several keys, which describe none."""
    return {key: value for key, value in schema.items() if key != "allOf"}


@pytest.mark.parametrize("schema", [load("box.schema"), plan_schema()], ids=["box", "plan"])
def test_is_a_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("what", ["box", "plan", "lock", "pull", "images", "prune"])
def test_printed(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", what]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["type"] == "object"
    Draft202012Validator.check_schema(schema)


def test_every_key_is_described() -> None:
    schema = load("box.schema")
    for part in parts(forms(schema)):
        for name, rule in part.get("properties", {}).items():
            whole = rule if "description" in rule else schema["$defs"][rule["$ref"].split("/")[-1]]
            assert whole["description"].endswith((".", ",")), name


def test_no_map_takes_unknown_keys() -> None:
    for part in parts(forms(load("box.schema"))):
        if "properties" in part:
            assert part["additionalProperties"] is False


def test_defaults_and_examples_fit() -> None:
    schema = load("box.schema")
    whole = Draft202012Validator(schema)
    for part in parts(schema):
        if "properties" in part and "type" not in part:
            continue
        for value in [*part.get("examples", []), *([part["default"]] if "default" in part else [])]:
            assert whole.evolve(schema=part).is_valid(value), (value, part)


def test_ranges_are_the_tables() -> None:
    """`x-krun` names the argument whose range a key repeats for editors."""
    functions = load("krun")["functions"]
    seen = 0
    for part in parts(load("box.schema")):
        if "x-krun" not in part:
            continue
        name, argument = part["x-krun"].split(".")
        (row,) = (row for row in functions[name]["params"] if row["name"] == argument)
        assert (part["minimum"], part["maximum"]) == (row["min"], row["max"])
        seen += 1
    assert seen >= 2


def test_named_values_are_the_tables() -> None:
    table, box = load("krun"), load("box.schema")
    assert set(box["$defs"]["net_features"]["items"]["enum"]) == set(table["flags"]["net_features"])
    disk = box["properties"]["disks"]["items"]["properties"]
    assert set(disk["format"]["enum"]) <= set(table["enums"]["disk_format"])
    assert set(box["properties"]["log"]["properties"]["level"]["enum"]) < set(
        table["enums"]["log_level"]
    )
    assert set(box["properties"]["limits"]["properties"]) == set(table["enums"]["rlimit"])


KINDS = {
    "context": {"uint32_t"},
    "int": {"uint8_t", "uint16_t", "uint32_t", "uint64_t", "uid_t", "gid_t"},
    "bool": {"bool"},
    "enum": {"uint32_t", "uint64_t"},
    "flags": {"uint32_t"},
    "text": {"const char *", "char *"},
    "texts": {"const char *const *"},
    "env": {"const char *const *"},
    "rlimits": {"const char *const *"},
    "port_map": {"const char *const *"},
    "mac": {"uint8_t *const"},
    "fd": {"int"},
    "host_path": {"const char *", "char *"},
    "socket_path": {"const char *", "char *"},
    "bytes": {"const uint8_t *"},
    "length": {"size_t"},
    "u16s": {"const uint16_t *"},
    "pointer": {"const void *", "size_t", "const uint8_t * *", "size_t *", "const uint8_t **"},
}


# How each kind of path may be opened; what is not opened by libkrun names something else.
OPENS = {
    "host_path": {"read", "read-write", "make"},
    "socket_path": {"connect", "make", "connect-and-make"},
}


@pytest.mark.parametrize(("name", "row"), load("krun")["functions"].items())
def test_what_a_function_means_is_in_the_vocabulary(name: str, row: dict[str, Any]) -> None:
    table = load("krun")
    assert set(row) <= set(table["vocabulary"]["functions"])
    assert row.get("environment") in {None, *table["environments"]}
    assert set(row.get("capabilities", ())) <= set(table["capabilities"])
    assert set(row.get("opens", {}).values()) <= {"read", "read-write", "device"}
    assert row.get("sockets", "all") == "all"
    booleans = {param["name"] for param in row["params"] if param["kind"] == "bool"}
    means = [param["means"] for param in row["params"] if "means" in param]
    assert set(means) <= set(table["meanings"])
    assert len(means) == len(set(means))
    assert ("laid_in" in means) == ("laid_at" in means)
    for param in row["params"]:
        assert set(param) <= set(table["vocabulary"]["params"]), param
        opens = OPENS.get(param["kind"], set())
        assert {*([param["opens"]] if opens else ()), *param.get("opens_if", {}).values()} <= opens
        assert ("opens" in param) == bool(opens), param
        assert set(param.get("opens_if", ())) <= booleans
        assert ("target" in param) == (param["kind"] == "host_path"), param
        assert param.get("target", "file") in ("directory", "file", "disk")
        assert param["kind"] == "socket_path" or "served" not in param
        assert param.get("served", "stream") in ("stream", "datagram")
        if "without_environment" in param:
            assert param["without_environment"] in table["flags"][param["flags"]]
            assert "environment" in row
        if "command_line" in param:
            assert param["kind"] in ("text", "texts", "env", "rlimits")


def test_every_word_of_the_vocabulary_is_used_and_told() -> None:
    table = load("krun")
    rows = table["functions"].values()
    assert set(table["vocabulary"]["functions"]) == {key for row in rows for key in row}
    used = {key for row in rows for param in row["params"] for key in param}
    assert set(table["vocabulary"]["params"]) == used
    means = {param["means"] for row in rows for param in row["params"] if "means" in param}
    assert set(table["meanings"]) == means
    assert set(table["environments"]) == {
        row["environment"] for row in rows if "environment" in row
    }


@pytest.mark.parametrize(("name", "row"), load("steps")["steps"].items())
def test_a_step_has_known_keys_only(name: str, row: dict[str, Any]) -> None:
    row = {key: value for key, value in row.items() if key != "excludes"}
    assert set(row) <= {"doc", "phase", "required", "repeat", "last", "threads", "serves", "params"}
    assert row.get("serves", "krun_add_net_unixstream") in load("krun")["functions"]
    for param in row["params"]:
        assert set(param) <= {*load("krun")["vocabulary"]["params"], "admits", "store"}
        if "admits" in param:
            (access,) = (one for one in row["params"] if one["name"] == param["admits"])
            assert access["enum"] == ("store_access" if "store" in param else "access")


@pytest.mark.parametrize(("name", "row"), load("krun")["functions"].items())
def test_the_table_is_consistent(name: str, row: dict[str, Any]) -> None:
    table = load("krun")
    widths = {
        "uint8_t": 8,
        "uint16_t": 16,
        "uint32_t": 32,
        "uint64_t": 64,
        "uid_t": 32,
        "gid_t": 32,
    }
    for param in row["params"]:
        kind, c = param["kind"], param["c"].replace("* *", "**").replace("uint8_t*", "uint8_t *")
        assert c in KINDS[kind] | {c.replace("**", "* *")}, (param, c)
        if kind == "int":
            assert 0 <= param["min"] <= param["max"] < 1 << widths[param["c"]]
        if kind in ("enum", "flags"):
            assert param[kind] in table["enums" if kind == "enum" else "flags"]
        if kind == "length":
            assert param["of"] in [other["name"] for other in row["params"]]
        if "charset" in param:
            assert param["charset"] in table["charsets"]
    for needed in [
        *row.get("excludes", []),
        *(n for need in row.get("needs", []) for n in need["any"]),
    ]:
        assert needed in table["functions"], needed
    assert row["role"] in ("log", "create", "configure", "enter", "free", "query", "code")


def test_implicit_conditions_name_what_exists() -> None:
    table = load("krun")
    for row in table["implicit"]:
        for token in [*row.get("unless", []), *(t for group in row.get("when", []) for t in group)]:
            name, _, rest = token.partition(".")
            assert name in table["functions"], token
            if rest:
                argument, _, value = rest.partition("=")
                params = {p["name"]: p for p in table["functions"][name]["params"]}
                if params[argument]["kind"] == "bytes":
                    assert value == "{process}"
                    continue
                assert value in table["flags"][params[argument]["flags"]], token


def test_no_share_has_a_tag_of_a_root() -> None:
    tag = load("box.schema")["properties"]["shares"]["items"]["properties"]["tag"]
    assert tag["not"]["enum"] == [ROOT_TAG, load("orders")["share"]]
