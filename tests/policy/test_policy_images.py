"""Policies about images: their names, their digests, tags, and the root that they are."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.policy.rules import judge
from krunc_compiler.policy.way_out import Place
from krunc_compiler.review.summary import Review, review
from krunc_compiler.shape.checking import check
from krunc_schema import load
from locks import digest
from whole_boxes import DIRECTORY, IMAGE, IMAGE_KEPT, compiled


def image(reference: str = "app:1.4", box: str = IMAGE) -> Review:
    text = to_text(compiled(box, "1")).replace('"app:1.4"', json.dumps(reference))
    return review(read_plan("a.plan.json", text))


def broken(of: Review, **allow: Any) -> list[str]:
    policy = {"krunc_policy": 1, "allow": allow}
    assert check(policy, load("policy.schema")) == []
    return [found.hint.partition(":")[0] for found in judge(policy, of, Place("/repo/a", "/repo"))]


D = digest("c")


@pytest.mark.parametrize(
    ("reference", "patterns", "fits"),
    [
        ("app:1.4", ["docker.io/library/app:1.4"], True),
        ("app:1.4", ["docker.io/library/app:*"], True),
        ("app:1.4", ["docker.io/library/*"], True),
        ("app:1.4", ["docker.io/**"], True),
        ("app:1.4", ["**"], True),
        ("app:1.4", [digest("a")], True),
        ("app:1.4", [digest("b")], False),
        ("app:1.4", [], False),
        ("app:1.4", ["*"], False),
        ("app:1.4", ["app:1.4"], False),
        ("app:1.4", ["docker.io/library/app"], False),
        ("app:1.4", ["docker.io/*"], False),
        ("evil.example/library/app:1.4", ["docker.io/library/**"], False),
        ("evil.example/docker.io/library/app:1.4", ["docker.io/library/app:*"], False),
        ("docker.io.evil.example/library/app:1.4", ["docker.io/**"], False),
        ("docker://registry.example:5000/team/app", ["registry.example:5000/team/*"], True),
        (f"app@{D}", ["docker.io/library/app@*"], True),
        (f"app:1.4@{D}", ["docker.io/library/app:1.4@*"], True),
        ("oci:./layout:1", ["oci:**"], True),
        ("oci:./layout:1", ["docker.io/**"], False),
        ("No Reference", ["**"], False),
    ],
)  # fmt: skip
def test_names_that_are_allowed(reference: str, patterns: list[str], fits: bool) -> None:
    assert (broken(image(reference), images=patterns) == []) is fits


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        ("app:1.4", False),
        ("app", False),
        (f"app@{D}", True),
        (f"app:1@{D}", True),
        ("oci:x", False),
    ],
)
def test_tags_that_are_not_allowed(reference: str, pinned: bool) -> None:
    assert (broken(image(reference), image_tags=False) == []) is pinned
    assert broken(image(reference), image_tags=True) == []


def test_an_image_is_no_root_that_paths_allow() -> None:
    """A policy from before there were images does not let one in."""
    assert broken(image(), roots=["/", "./**"]) == ["allow.roots"]
    assert broken(image(), roots=[], images=["docker.io/**"]) == []
    assert broken(image(), roots=["/"], images=[]) == ["allow.images"]
    assert broken(image(box=IMAGE_KEPT), roots=[], images=["oci:**"]) == []


def test_a_root_that_is_no_image_is_still_a_path() -> None:
    directory = review(read_plan("a", to_text(compiled(DIRECTORY, "1"))))
    assert broken(directory, roots=[], images=["**"]) == ["allow.roots"]
    assert broken(directory, images=[], image_tags=False) == []
    # A demand of an image excuses no other root.
    rows = json.loads(to_text(compiled(DIRECTORY, "1")))["operations"]
    demand = next(
        row for row in json.loads(to_text(compiled(IMAGE, "1")))["operations"]
        if row.get("step") == "require_image"
    )  # fmt: skip
    value = json.loads(to_text(compiled(DIRECTORY, "1")))
    value["operations"] = [rows[0], demand, *rows[1:]]
    both = review(read_plan("a", json.dumps(value)))
    assert "allow.roots" in broken(both, roots=[], images=["**"])


def test_an_image_that_is_not_root() -> None:
    policy = {"krunc_policy": 1, "isolation": ["guest_user"]}
    place = Place("/repo/a", "/repo")
    assert list(judge(policy, image(), place)) == []
    assert list(judge(policy, image(box=IMAGE_KEPT), place))


def test_no_pattern_hangs() -> None:
    began = time.monotonic()
    assert broken(image("app:" + "a" * 120), images=["*a" * 60 + "b", "**a" * 500 + "b"])
    assert time.monotonic() - began < 5
