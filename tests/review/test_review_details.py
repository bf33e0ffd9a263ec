"""The lines below a change: what differs of the operations that its facts are of, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import Change, compare
from reviews import reviewed_box

BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "one",
    "rootfs": {"path": "./r", "changes": "discard"},
    "network": {"mode": "none"},
    "hostname": "here",
    "entrypoint": {"script": "set -e\nmake test\n", "user": "app"},
}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    return list(compare(reviewed_box(old, "2"), reviewed_box(new, "2")).changes)


# What is changed, and of which kind the change is. Its fact is of another operation then.
MOVED: dict[str, tuple[dict[str, Any], str]] = {
    "no user": ({"entrypoint": {"script": "set -e\nmake test\n"}}, "guest user"),
    "changes written": ({"rootfs": {"path": "./r"}}, "changes"),
    "no changes": ({"rootfs": {"path": "./r", "read_only": True}}, "changes"),
}


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("turned", [False, True])
def test_another_operation_is_not_told_as_lines(name: str, turned: bool) -> None:
    more, kind = MOVED[name]
    sides = [BOX, {**BOX, **more}]
    found = [one for one in changes(*(sides[::-1] if turned else sides)) if one.kind == kind]
    assert found
    for change in found:
        assert change.texts == ()


def test_a_program_that_gets_the_stage_is_told_by_its_long_strings() -> None:
    """Both operations have its arguments."""
    rest = {key: BOX[key] for key in ("krunc", "name", "network")}
    program = {"executable": "/bin/a", "args": ["x" * 300]}
    old = {**rest, "rootfs": {"path": "./r"}, "entrypoint": program}
    new = {**old, "hostname": "here", "entrypoint": {**program, "args": ["x" * 299 + "y"]}}
    (change,) = (one for one in changes(old, new) if one.kind == "program")
    assert [text.place for text in change.texts] == ["argv[0]"]
