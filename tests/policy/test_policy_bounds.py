"""No policy hangs, whatever it asks and whatever it is asked about."""

from __future__ import annotations

import json
import re
import time
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
from krunc_compiler.policy.paths import allowed, named
from krunc_compiler.policy.patterns import Pattern, Unmatchable
from krunc_compiler.policy.schemas import Unusable, judge, wrong
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
    "doubling": ({"$defs": twos(True, 35), "$ref": "#/$defs/d0"}, "$ref"),
    "doubling, too deep": ({"$defs": twos(True, 60), "$ref": "#/$defs/d0"}, "$ref"),
    "doubling, unevaluated": ({"$defs": twos(True, 35), "$ref": "#/$defs/d0", "unevaluatedProperties": False}, "$ref"),
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
