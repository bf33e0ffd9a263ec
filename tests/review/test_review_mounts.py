"""A mount is judged by what the host gives: what is attached stays within reach of the guest's root,
mounted or not, and a tmpfs is the guest's own memory."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from reviews import BOX, reviewed_box

SHARE: dict[str, Any] = {"tag": "s", "path": "./data"}
OTHER = {"tag": "o", "path": "./other"}
DISK: dict[str, Any] = {
    "id": "d",
    "path": "d.img",
    "format": "raw",
    "read_only": True,
    "fstype": "ext4",
}
UNMOUNTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    key: value for key, value in DISK.items() if key != "fstype"
}
USER = {"entrypoint": {**BOX["entrypoint"], "user": "1000:1000"}}


def changes(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, str]]:
    """The effect and kind of each change between two boxes, both of them started by the stage."""
    sides = [reviewed_box({**BOX, "hostname": "h", **keys}, "2") for keys in (old, new)]
    return {(change.effect, change.kind) for change in compare(*sides).changes}


MOUNTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "share": ({"shares": [SHARE]}, {"shares": [{**SHARE, "mount": "/data"}]}),
    "writable share": (
        {"shares": [{**SHARE, "read_only": False}]},
        {"shares": [{**SHARE, "read_only": False, "mount": "/data"}]},
    ),
    "disk": ({"disks": [UNMOUNTED]}, {"disks": [{**DISK, "mount": "/data"}]}),
    "tmpfs": ({}, {"tmpfs": ["/scratch"]}),
    "tmpfs with a size": ({}, {"tmpfs": [{"path": "/scratch", "size": "64MiB"}]}),
    "tmpfs over programs": ({}, {"tmpfs": ["/usr/bin"]}),
}


@pytest.mark.parametrize("which", MOUNTED)
def test_a_mount_comes_and_goes_without_host_access(which: str) -> None:
    without, mounted = MOUNTED[which]
    assert changes(without, mounted) == {("alters", "mount")}
    assert changes(mounted, without) == {("alters", "mount")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"shares": [{**SHARE, "mount": "/a"}]}, {"shares": [{**SHARE, "mount": "/b"}]}),
        ({"disks": [{**DISK, "mount": "/a"}]}, {"disks": [{**DISK, "mount": "/b"}]}),
        ({"tmpfs": ["/a"]}, {"tmpfs": ["/b"]}),
        ({"tmpfs": ["/a"]}, {"tmpfs": [{"path": "/a", "size": "64MiB"}]}),
    ],
)
def test_another_place_or_size_alters(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert changes(old, new) == {("alters", "mount")}


# What is attached or made writable, in the kind that the newer plan shows, and how going back is judged.
ATTACHED = [
    ({}, {"shares": [{**SHARE, "mount": "/data"}]}, "read", ("narrows", "read")),
    (
        {},
        {"shares": [{**SHARE, "read_only": False, "mount": "/data"}]},
        "write",
        ("narrows", "write"),
    ),
    ({}, {"disks": [{**DISK, "mount": "/data"}]}, "read", ("narrows", "read")),
    (
        {"shares": [{**SHARE, "mount": "/data"}]},
        {"shares": [{**SHARE, "read_only": False, "mount": "/data"}]},
        "write",
        ("narrows", "read"),
    ),
    (
        {"shares": [{**SHARE, "mount": "/data"}]},
        {"shares": [{**SHARE, "path": "./more", "mount": "/data"}]},
        "read",
        ("widens", "read"),
    ),
]


@pytest.mark.parametrize(("old", "new", "kind", "back"), ATTACHED)
def test_what_is_attached_or_made_writable_widens(
    old: dict[str, Any], new: dict[str, Any], kind: str, back: tuple[str, str]
) -> None:
    assert ("widens", kind) in changes(old, new)
    assert back in changes(new, old)


def test_a_program_that_becomes_root_widens() -> None:
    assert ("widens", "guest user") in changes(USER, {})
    assert ("narrows", "guest user") in changes({}, USER)


# Where the root's own code is, however it is written.
CODE = ["/bin", "/usr", "/usr/lib", "/lib64", "/etc", "/etc/ssh", "/root", "/home/app", "/opt"]


@pytest.mark.parametrize("path", CODE)
@pytest.mark.parametrize("what", ["share", "disk"])
def test_a_mount_over_code_widens_and_its_end_narrows_nothing(what: str, path: str) -> None:
    mounted: dict[str, Any] = {"shares": [{**SHARE, "mount": path}]}
    without: dict[str, Any] = {"shares": [SHARE]}
    if what == "disk":
        mounted, without = {"disks": [{**DISK, "mount": path}]}, {"disks": [UNMOUNTED]}
    assert changes(without, mounted) == {("widens", "run"), ("alters", "mount")}
    assert changes(mounted, without) == {("alters", "run"), ("alters", "mount")}


def test_a_mount_over_the_program_is_told() -> None:
    program = {"entrypoint": {"executable": "/srv/app/run"}}
    there = {**program, "shares": [{**SHARE, "mount": "/srv/app"}]}
    assert ("widens", "run") in changes({**program, "shares": [SHARE]}, there)
    facts = reviewed_box({**BOX, **there}, "2").machine
    assert [fact.text for fact in facts if fact.kind == "run"] == [
        "/srv/app, where s (directory data) is mounted over the root: the program"
    ]
    assert not [
        fact
        for fact in reviewed_box({**BOX, "shares": [{**SHARE, "mount": "/srv"}]}, "2").machine
        if fact.kind == "run"
    ]


def test_another_share_over_code_widens() -> None:
    both = [SHARE, OTHER]
    old = {"shares": [{**SHARE, "mount": "/opt"}, OTHER]}
    new = {"shares": [SHARE, {**OTHER, "mount": "/opt"}]}
    assert ("widens", "run") in changes(old, new)
    assert ("widens", "run") in changes({"shares": both}, new)


def test_what_is_attached_under_the_name_of_what_is_over_code_widens() -> None:
    """The mount says the same, and nothing is attached that was not: but other code runs."""
    shares = [{**SHARE, "mount": "/opt"}, {**OTHER, "mount": "/data"}]
    swapped = [{**one, "path": two["path"]} for one, two in zip(shares, shares[::-1], strict=True)]
    disks = [{**DISK, "mount": "/opt"}, {**DISK, "id": "e", "path": "e.img", "mount": "/data"}]
    turned = [{**one, "path": two["path"]} for one, two in zip(disks, disks[::-1], strict=True)]
    for old, new in (({"shares": shares}, {"shares": swapped}), ({"disks": disks}, {"disks": turned})):  # fmt: skip
        found = changes(old, new)
        assert ("widens", "run") in found
        assert ("widens", "run") in changes(new, old)


def test_another_spelling_of_what_is_over_code_is_no_other_code() -> None:
    mounted = {**SHARE, "mount": "/opt"}
    found = changes({"shares": [mounted]}, {"shares": [{**mounted, "path": "./x/../data/."}]})
    assert not {effect for effect, _ in found} - {"neutral"}
