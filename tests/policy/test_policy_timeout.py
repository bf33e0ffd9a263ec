"""A policy asks that every VM ends: that its plan has a timeout, and which at most."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.box.from_value import seconds
from krunc_compiler.policy.rules import judge, rule_of
from krunc_compiler.policy.way_out import Place
from krunc_compiler.shape.checking import check
from krunc_schema import load
from reviews import BOX, reviewed_box


def found(most: str, **keys: Any) -> list[tuple[str, str]]:
    policy = {"krunc_policy": 1, "allow": {"timeout": most}}
    assert check(policy, load("policy.schema")) == []
    judged = list(judge(policy, reviewed_box({**BOX, **keys}), Place("/r", "/r")))
    assert all(rule_of(one) == "allow.timeout" for one in judged)
    return [(one.message, one.hint) for one in judged]


@pytest.mark.parametrize("timeout", ["1s", "60m", "1h", "3600s"])
def test_one_that_is_no_longer_is_allowed(timeout: str) -> None:
    assert found("1h", timeout=timeout) == []


@pytest.mark.parametrize("timeout", ["61m", "3601s", "2h"])
def test_a_longer_one_is_told_with_what_would_allow_it(timeout: str) -> None:
    limit = seconds(timeout)
    assert found("1h", timeout=timeout) == [
        (
            f"timeout: the VM is ended {limit} seconds after its launch",
            f"allow.timeout: 1h; to allow it, write {limit}s",
        )
    ]
    assert found(f"{limit}s", timeout=timeout) == []


def test_a_plan_without_one_is_not_allowed() -> None:
    assert found("10m") == [
        (
            "the VM may run for ever: the plan has no timeout",
            "allow.timeout: 10m; give the box a `timeout` of at most 10m",
        )
    ]


def test_it_is_written_as_in_a_box() -> None:
    policy = load("policy.schema")["properties"]["allow"]["properties"]["timeout"]
    box = load("box.schema")["properties"]["timeout"]
    assert [policy[key] for key in ("pattern", "x-form")] == [
        box[key] for key in ("pattern", "x-form")
    ]
