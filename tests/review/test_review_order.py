"""Where the order of a plan says what the guest follows, another order is no neutral change."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from reviews import BOX, call, order, reviewed, reviewed_box

SERVERS = [order("nameserver", address=f"{n}.{n}.{n}.{n}") for n in (1, 6, 9)]
HOSTS = [order("host", name=name, address=f"10.0.0.{i}") for i, name in enumerate("abc")]


def told(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    changes = compare(reviewed(*old), reviewed(*new)).changes
    return [f"{one.effect} {one.kind} {one.text}" for one in changes]


def test_another_order_of_name_servers_alters() -> None:
    new = [SERVERS[1], SERVERS[0], SERVERS[2]]
    expected = "alters name server in another order: 6.6.6.6, 1.1.1.1, 9.9.9.9"
    assert told(SERVERS, new) == [expected]


def test_another_order_of_hosts_alters() -> None:
    assert told(HOSTS, HOSTS[::-1]) == ["alters hosts in another order: c, b, a"]


def test_it_is_at_the_key_of_the_box() -> None:
    box = {**BOX, "rootfs": {"path": "./r", "changes": "discard"}, "network": {"mode": "tsi"}}
    old, new = (
        reviewed_box({**box, "dns": servers}, "2")
        for servers in (["1.1.1.1", "6.6.6.6"], ["6.6.6.6", "1.1.1.1"])
    )
    (change,) = compare(old, new).changes
    assert (change.effect, change.origin.partition("[")[0]) == ("alters", "dns")


# The launcher refuses two at one place (test_launch_refusals.py); a difference is not neutral.
@pytest.mark.parametrize("path", ["/app", "app", "//app", "./app", "x/../app", "/app/"])
def test_another_order_of_two_files_at_one_place_alters(path: str) -> None:
    laid = {"fs_tag": "/dev/root", "mode": 0o755, "one_shot": False}
    good, evil = (
        call("krun_fs_add_overlay_file", path=where, data={"text": text}, **laid)
        for where, text in (("/app", "good"), (path, "evil"))
    )
    effects = [one.partition(" ")[0] for one in told([good, evil], [evil, good])]
    assert effects
    assert "neutral" not in effects
