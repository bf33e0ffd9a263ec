"""No policy hangs, whatever it asks and whatever it is asked about."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from krunc_compiler.__main__ import main
from krunc_compiler.policy.asked import Unusable
from krunc_compiler.policy.paths import TooMuch, allowed, bounded, named
from krunc_compiler.policy.patterns import Pattern, Unmatchable
from krunc_compiler.policy.schemas import judge, wrong
from reviews import BOX, compiled

DRAFT = "https://json-schema.org/draft/2020-12/schema"
PLAN = json.loads(compiled(BOX))


@contextmanager
def soon(seconds: float = 20) -> Iterator[None]:
    before = time.process_time()
    yield
    assert time.process_time() - before < seconds


def twos(last: Any, depth: int = 40) -> dict[str, Any]:
    """Definitions of which each asks the next one twice."""
    rows = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(depth)}
    return {**rows, f"d{depth}": last}


# Schemas that lead back into themselves or ask without end, and the key at which that is told.
ENDLESS: dict[str, tuple[dict[str, Any], str]] = {
    "itself": ({"$ref": "#"}, "$ref"),
    "within itself": ({"properties": {"operations": {"$ref": "#/properties/operations"}}}, "$ref"),
    "two of them": ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "$ref"),
    "by an anchor": ({"$anchor": "x", "anyOf": [{"$ref": "#x"}]}, "$ref"),
    "by the dynamic scope": ({"$dynamicRef": "#"}, "$dynamicRef"),
    "in a not": ({"not": {"$ref": "#"}}, "$ref"),
    "in an if": ({"if": {"$ref": "#"}, "then": True}, "$ref"),
    "by a schema of another draft": ({"$defs": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "$ref"),
    "doubling": ({"$defs": twos(True, 35), "$ref": "#/$defs/d0"}, "allOf"),
    "doubling, too deep": ({"$defs": twos(True, 60), "$ref": "#/$defs/d0"}, "$ref"),
    "doubling, unevaluated": ({"$defs": twos(True, 35), "$ref": "#/$defs/d0", "unevaluatedProperties": False}, "allOf"),
    "a wide pattern": ({"properties": {"box": {"pattern": "a"}, "operations": {"items": {"allOf": [{"properties": {"from": {"pattern": f"(a|b|{i})*x"}}} for i in range(1500)]}}}}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_a_schema_ends(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked, key = ENDLESS[name]
    (tmp_path / "schema.json").write_text(json.dumps({"$schema": DRAFT, **asked}))
    (tmp_path / "a.plan.json").write_text(json.dumps(PLAN))
    paths = [str(tmp_path / "a.plan.json"), "--policy", str(tmp_path / "schema.json")]
    with soon():
        assert main(["check", *paths, "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["code"], found["file"]) == ("KR503", str(tmp_path / "schema.json"))
    assert found["key"].endswith(key)
    assert found["line"] == 1


def each(schema: dict[str, Any]) -> dict[str, Any]:
    """A policy that asks SCHEMA of each operation."""
    return {"properties": {"operations": {"items": schema}}}


MANY: dict[str, Any] = {
    "box": "ab" * 150_000,
    "operations": [{"call": f"krun_{i}", "args": {"x": i, "y": "b" * 20}} for i in range(2_000)],
}
LOTS = [f"k{i}" for i in range(3_000)]
ASKS: dict[str, dict[str, Any]] = {
    "schemas that hold": each({"allOf": [{}] * 2_000}),
    "schemas that are true": each({"allOf": [True] * 2_000}),
    "schemas that are false": each({"anyOf": [False] * 2_000}),
    "schemas with notes": each({"allOf": [{f"x-{i}": 1 for i in range(1_000)}] * 50}),
    "schemas with a draft": each({"allOf": [{"$schema": DRAFT, **{f"x-{i}": 1 for i in range(200)}}] * 500}),
    "large values to compare": each({"not": {"enum": [{"call": "krun_0", "args": {"x": i}} for i in range(3_000)]}}),
    "long strings to compare": each({"not": {"enum": ["b" * 2_000 + str(i) for i in range(300)]}}),
    "what is there once": {"properties": {"operations": {"allOf": [{"uniqueItems": True}] * 500}}},
    "keys that are there": each({"not": {"required": LOTS}}),
    "keys beside others": each({"dependentRequired": {key: ["x"] for key in LOTS}}),
    "keys by patterns": each({"patternProperties": dict.fromkeys(LOTS, True)}),
    "names of keys": each({"allOf": [{"propertyNames": {"maxLength": 9}}] * 100}),
    "other keys": {"allOf": [{"properties": {"operations": {"items": {"additionalProperties": True}}}}] * 900},
    "what it contains": {"properties": {"operations": {"allOf": [{"contains": {"const": 1}}] * 100}}},
    "words of errors": {"properties": {"operations": {"anyOf": [*[{"type": "string"}] * 3_000, {}]}}},
    "an anchor among many": {"$defs": {f"n{i}": {"$anchor": f"z{i}"} for i in range(2_000)}, **each({"allOf": [{"$ref": "#z1"}] * 100})},
    "a dynamic anchor": {"$defs": {f"n{i}": {"$dynamicAnchor": f"z{i}"} for i in range(900)}, **each({"allOf": [{"$dynamicRef": "#z1"}] * 100})},
    "an id among many": {"$defs": {f"n{i}": {"$id": f"urn:x:{i}"} for i in range(900)}, **each({"allOf": [{"$ref": "urn:x:7"}] * 100})},
    "references": {"$defs": {"a": {}}, **each({"allOf": [{"$ref": "#/$defs/a"}] * 1_000})},
    "a long text, often": {"properties": {"box": {"not": {"anyOf": [{"pattern": "x"}] * 400}}}},
    "words in a long text": {"properties": {"box": {"not": {"anyOf": [{"pattern": r"\bx"}] * 40}}}},
    "classes of characters": {"properties": {"box": {"not": {"anyOf": [{"pattern": f"[c-z{''.join(map(chr, range(0x4E00, 0x5500, 2)))}]{{1,50}}{i}$"} for i in range(400)]}}}},
    "numbers": each({"allOf": [{"properties": {"args": {"properties": {"x": {"multipleOf": 0.0001}}}}}] * 60}),
    "what is left over": each({"allOf": [{"properties": {"call": {}}}] * 50, "unevaluatedProperties": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKS)
def test_what_takes_long_is_refused(name: str) -> None:
    """Whatever takes the time: the longest of these took a minute, and each a second at most now."""
    assert wrong(ASKS[name]) == []
    with soon(10), pytest.raises(Unusable, match="asks too much"):
        list(judge(ASKS[name], MANY))


def test_what_a_pattern_repeats_is_in_memory_once() -> None:
    """Four hundred of these took 2.3 GB."""
    long = "".join(map(chr, range(0x4E00, 0x5500)))
    tracemalloc.start()
    pattern = Pattern(f"[c-z{long}]{{1,100}}$")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 200_000
    assert pattern.search(long[:50], lambda steps: None)


def test_what_is_sensible_is_far_from_that() -> None:
    """Two dozen questions about each of 500 operations."""
    asked = {
        "required": ["args"],
        "properties": {
            "call": {
                "pattern": "^krun_[a-z0-9_]+$",
                "not": {"enum": [f"krun_{i}x" for i in range(30)]},
            },
            "args": {"properties": {"x": {"maximum": 9_999}, "y": {"maxLength": 99}}},
        },
    }
    few = {**MANY, "box": "web", "operations": MANY["operations"][:500]}
    assert list(judge(each({"allOf": [asked] * 3}), few)) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{}] * 5_000},
        {"allOf": [True] * 5_000},
        {"properties": {str(i): {"properties": {"a": {}}} for i in range(2_500)}},
        {"allOf": [1] * 200_000},
        {"$defs": {str(i): {} for i in range(5_000)}},
    ],
    ids=["maps", "true", "within", "none", "definitions"],
)
def test_a_schema_of_too_many(schema: dict[str, Any]) -> None:
    """To check that a schema is one takes two tenths of a millisecond for each within it."""
    with soon(5):
        (found,) = wrong(schema)
    assert (found.code, found.message) == (
        "KR503",
        "there are more than 4,000 schemas within this one",
    )


def test_words_that_are_not_known_are_guessed_at_for_a_while() -> None:
    with soon(10):
        found = wrong({f"propertes{i}": 1 for i in range(20_000)})
    assert len(found) == 20_000
    assert sum("did you mean properties?" in one.hint for one in found) == 100


HANGS = {
    "(a+)+$": "a" * 60 + "!",
    "(a|a)*$": "a" * 60 + "!",
    "(a|aa)+$": "a" * 60 + "!",
    "^(([a-z])+.)+[A-Z]([a-z])+$": "a" * 60,
    "(.*)*x$": "y" * 5000,
    ".*.*.*.*.*.*=": "x" * 5000,
    "^(a?){60}a{60}$": "a" * 60,
    "(x+x+)+y": "x" * 5000,
    r"^(\w+\s?)*$": "a" * 60 + "!",
}


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties", "propertyNames", "additional"])
@pytest.mark.parametrize("pattern", HANGS)
def test_a_pattern_ends(pattern: str, keyword: str) -> None:
    text = HANGS[pattern]
    schemas: dict[str, dict[str, Any]] = {
        "pattern": {"properties": {"box": {"pattern": pattern}}},
        "patternProperties": {"patternProperties": {pattern: {"const": 1}}},
        "propertyNames": {"propertyNames": {"not": {"pattern": pattern}}},
        "additional": {"patternProperties": {pattern: True}, "additionalProperties": False},
    }
    schema = schemas[keyword]
    assert wrong(schema) == []
    with soon():
        found = list(judge(schema, {"box": text} if keyword == "pattern" else {text: 2}))
    fits = pattern in ("^(a?){60}a{60}$", "(a|a)*$")  # the second before any end
    expects_no_match = {"pattern": 1, "patternProperties": 0, "propertyNames": 0, "additional": 1}
    expects_match = {"pattern": 0, "patternProperties": 1, "propertyNames": 1, "additional": 0}
    assert len(found) == (expects_match if fits else expects_no_match)[keyword]


def test_many_steps_of_one_pattern() -> None:
    """Each character leads to a state that was not met before."""
    text = "".join(Random(1).choices("ab", k=300_000)) + "c"
    schema = {"properties": {"box": {"pattern": "(a|b)*a(a|b){24}$"}}}
    with soon(), pytest.raises(Unusable) as caught:
        list(judge(schema, {"box": text}))
    assert caught.value.path == ("properties", "box", "pattern")


REFUSED = {
    "a(?=b)": "look ahead",
    "(?<!a)b": "look ahead or behind",
    r"(a)\1": "reference",
    "(?i)a": "flags",
    "(?i:a)": "flags",
    "a{5000}": "states",
    "((a{1,100}){1,100})": "states",
    "(": "not a regular expression",
    "[z-a]": "not a regular expression",
    "a{2}{3": None,
    "[[a]": None,
    "(?:){4000000000}x{9}": None,
    "(" * 900 + "x" + ")" * 900: "groups within groups",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_is_not_matched_is_told(
    pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = REFUSED[pattern]
    asked = {"$schema": DRAFT, "properties": {"box": {"pattern": pattern}}}
    (tmp_path / "schema.json").write_text(json.dumps(asked, indent=1))
    (tmp_path / "a.plan.json").write_text(json.dumps(PLAN))
    main(["check", str(tmp_path / "a.plan.json"), "--policy", str(tmp_path / "schema.json"), "--format", "json"])  # fmt: skip
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    if why is None:
        assert found["code"] == "KR502"
        return
    assert (found["code"], found["key"]) == ("KR503", "properties.box.pattern")
    assert why in found["message"]


def test_large_patterns_together() -> None:
    rules = {f"a{i}": {"pattern": f"(a{{1,100}}){{1,9}}{i}"} for i in range(2_000)}
    with soon():
        (found,) = wrong({"properties": rules})
    assert "together" in found.message
    assert found.path[-1] == "pattern"


ATOMS = ["a", "b", "ab", "[ab]", "[^a]", ".", r"\d", r"\w", r"\W", r"\s", r"\S", r"\n", "(a|b)", "(?:ab|a)", "(?P<n>a)", "^", "$", r"\b", r"\A", r"\Z", "[a-c]", r"[\d_]", "-", "é", r"[^\w]", "(|a)"]  # fmt: skip
COUNTS = ["", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "*?", "+?", "{2,}"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(COUNTS)), min_size=1, max_size=4),
    st.sampled_from(["{}", "({})+b", "a|{}", "({})*$", "^{}"]),
    st.text("abc1_ -é\n", max_size=8),
)
def test_it_finds_what_python_finds(parts: list[tuple[str, str]], form: str, text: str) -> None:
    written = form.replace("{}", "".join(map("".join, parts)))
    try:
        expected = re.search(written, text) is not None
    except re.error:
        with pytest.raises(Unmatchable):
            Pattern(written)
        return
    assert Pattern(written).search(text, lambda _: None) == expected


SCHEMAS: list[dict[str, Any]] = [
    {"additionalProperties": False},
    {"additionalProperties": {"type": "integer"}},
    {"properties": {"a": {}}, "patternProperties": {"^b": {"type": "string"}}, "additionalProperties": False},
    {"patternProperties": {"b": {"type": "integer"}, "a": {}}},
    {"properties": {"a": {"pattern": "^x"}}},
    {"propertyNames": {"pattern": "^a"}},
    {"properties": {"a": {"uniqueItems": True}}},
    {"unevaluatedProperties": False, "properties": {"a": {}}},
    {"$defs": {"x": {"type": ["array", "object"], "items": {"$ref": "#/$defs/x"}}}, "additionalProperties": {"$ref": "#/$defs/x"}},
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, "", "x", "ax"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "c"]), VALUES, max_size=3))
def test_it_judges_as_jsonschema_does(value: dict[str, Any]) -> None:
    for schema in SCHEMAS:
        found = list(judge(schema, value))
        assert (not found) == Draft202012Validator(schema).is_valid(value), schema


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties", "additionalProperties"])
def test_a_dollar_sign_is_the_end_as_in_json_schema(keyword: str) -> None:
    """Python's also stands before a line feed at the end."""
    forms: dict[str, dict[str, Any]] = {
        "pattern": {"propertyNames": {"pattern": "^box$"}},
        "patternProperties": {"patternProperties": {"^box\n$": False, "^box$": {}}},
        "additionalProperties": {"patternProperties": {"^box$": {}}, "additionalProperties": False},
    }
    assert list(judge(forms[keyword], {"box\n": 1}))
    assert not list(judge(forms[keyword], {"box": 1}))


def test_an_x_message_behind_a_ref() -> None:
    schema = {
        "$defs": {"a": {"x-message": "no", "allOf": [{"const": 1}]}},
        "properties": {"box": {"$ref": "#/$defs/a"}},
    }
    assert [found.message for found in judge(schema, {"box": 2})] != []
    own = {
        "$defs": {"a": {"x-message": "no", "const": 1}},
        "properties": {"box": {"$ref": "#/$defs/a"}},
    }
    assert [found.message for found in judge(own, {"box": 2})] == ["no"]


@pytest.mark.parametrize("stars", ["*-", "**-", "*", "**/*"])
def test_stars_end(stars: str) -> None:
    path = "images/" + "-" * 4000
    with soon():
        assert not allowed(path, "/r", [f"./images/{stars * 30}.img"], "/r")
        assert not allowed("images/" + "-" * 900_000, "/r", [f"./images/{stars * 30}.img"], "/r")
        assert not named("-" * 900_000, [f"{stars * 30}x"])
    assert allowed("images/a-b-c.img/x", "/r", ["./images/*-**-*.img"], "/r")


# A rule of krunc's own form, and the box that it is asked about.
COMPARES = {
    "paths": {"sockets": [f"./d{i}" for i in range(9_000)]},
    "patterns": {"writes": [f"./**{i}*{'a*' * 20}" for i in range(8_000)]},
    "long patterns": {"sockets": ["*a" * 5_000] * 40},
    "names of variables": {"secrets": [f"A{i}*B*C" for i in range(9_000)]},
    "paths of files": {"secrets": [f"./s/{i}*" for i in range(9_000)]},
    "sockets": {"sockets": [f"./x{i}*y" for i in range(9_000)]},
}  # fmt: skip


@pytest.mark.parametrize("name", COMPARES)
def test_rules_that_compare_too_much(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    value = {
        "krunc": 1, "name": "many", "rootfs": {"path": "./r"},
        "shares": [{"tag": f"t{i}", "path": f"./{'a/' * 40}{i}", "read_only": False} for i in range(5)],
        "network": {"mode": "tsi", "ports": [f"{1000 + i}:{80 + i}" for i in range(200)]},
        "vsock": [{"port": 3000 + i, "socket": f"./{'a' * 60}{i}", "listen": True} for i in range(200)],
        "entrypoint": {"executable": "/x", "env": {f"V{i}": {"from_env": f"A{i}B"} for i in range(200)}
                       | {f"F{i}": {"from_file": f"./s/{i}x"} for i in range(200)}},
    }  # fmt: skip
    (tmp_path / "a.yaml").write_text(json.dumps(value))
    assert main(["compile", "a.yaml", "-q", "--target", "1.18"]) == 0
    capsys.readouterr()
    policy = {"krunc_policy": 1, "allow": COMPARES[name]}
    (tmp_path / "p.json").write_text(json.dumps(policy))
    with soon():
        assert main(["check", "a.plan.json", "--policy", "p.json", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["code"], found["file"]) == ("KR503", "p.json")
    assert "compares too much with a plan" in found["message"]


@pytest.mark.parametrize(
    "pattern", ["*a" * 2_000, "**" * 40_000, "b" * 100_000, "./*b", "x", "a/" * 50]
)
@pytest.mark.parametrize("path", ["a" * 4_000, "a/" * 100, "x"])
def test_comparing_takes_a_second_at_most(pattern: str, path: str) -> None:
    def ask() -> None:
        with bounded():
            while True:
                allowed(path, "/r", [pattern], "/r")
                named(path, [pattern])

    with soon(10), pytest.raises(TooMuch):
        ask()


@settings(max_examples=400, deadline=None)
@given(st.text("ab/*", max_size=7), st.text("ab/", max_size=9))
def test_stars_mean_what_they_meant(pattern: str, path: str) -> None:
    parts = re.split(r"(\*\*|\*)", "/r/" + pattern)
    whole = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    if pattern.startswith("/") or path.startswith("/") or "//" in pattern or pattern.endswith("/"):
        return
    expected = re.fullmatch(f"{whole}(/.*)?", f"/r/{path}".rstrip("/").replace("//", "/"))
    if "//" not in path and pattern:
        assert allowed(path, "/r", [pattern], "/r") == bool(expected)
