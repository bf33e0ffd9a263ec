"""A plan that keeps the guest's root from changing says so only if it lets the guest write it in no
other way: by whatever call, under whatever tag, and however the paths are written."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.files.hostpath import holds_devices, holds_views, may_lie_in
from krunc_compiler.review.difference import compare
from krunc_compiler.review.summary import Review
from reviews import BOX, call, order, reviewed, reviewed_box, step

STAGE = step("lay_stage", path="launch:stage", access="read")
STAGED = [STAGE, call("krun_add_virtiofs3", tag="/dev/root", path="launch:stage", shm_size=0, read_only=True)]  # fmt: skip


def share(path: str, tag: str = "s", read_only: bool = False) -> dict[str, Any]:
    """A directory of the host."""
    return call("krun_add_virtiofs3", tag=tag, path=path, shm_size=0, read_only=read_only)


def disk(path: str, name: str = "d", read_only: bool = False) -> dict[str, Any]:
    """A raw disk image."""
    args = {"block_id": name, "disk_path": path, "disk_format": "raw", "read_only": read_only}
    return call("krun_add_disk2", **args)


def is_kept(found: Review) -> bool | None:
    """Tell whether the review says that changes of the root never reach the host."""
    return next(fact.held for fact in found.isolation if fact.subject == ("root",))


# Roots that nothing writes, and the path of each; a directory can hold more than an image.
ROOTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "libkrun's": ([share("img/r", "/dev/root", True)], "img/r"),
    "the stage's": ([*STAGED, share("img/r", "krunc-root", True), order("root_share", tag="krunc-root", access="read")], "img/r"),
    "of another tag": ([*STAGED, share("img/r", "rt", True), order("root_share", tag="rt", access="read")], "img/r"),
    "a disk": ([disk("img/r", "r", True), call("krun_set_root_disk_remount", device="/dev/vda1", fstype="ext4", options=None)], "img/r"),
    "the stage's disk": ([*STAGED, disk("img/r", "r", True), order("root_disk", device="/dev/vda", fstype="ext4", options=None, access="read")], "img/r"),
    "what a firmware finds": ([disk("x", "x", True), disk("img/r", "r", True), call("krun_set_firmware", firmware_path="f")], "img/r"),
}  # fmt: skip
# What writes to the path of a root, to what holds it, or, if it is a directory, into it.
SAME: dict[str, list[dict[str, Any]]] = {
    "share": [share("img/r")],
    "share, in other letters": [share("./x/..//img/./r/")],
    "share without a choice": [call("krun_add_virtiofs", tag="s", path="img/r")],
    "disk": [disk("img/r")],
    "device": [step("open_device", path="img/r", name="n", access="read-write")],
    "volume": [call("krun_set_mapped_volumes", mapped_volumes=["img/r:/x"])],
    "console": [call("krun_set_console_output", filepath="img/r")],
    "file": [step("open_file", path="img/r", name="log")],
    "socket": [call("krun_add_vsock_port2", port=5, filepath="img/r", listen=True)],
    "control socket": [call("krun_set_control_socket", socket_path="img/r")],
}
HOLDING = ["img", "./img/", ".", "..", "../..", "../../../../..", "/", "//", "/x/..", "../a", "../a/img", "../../a/b/img/r"]  # fmt: skip
INSIDE = ["img/r/etc/profile", "../a/img/r/x"]
APART = ["img/r2", "img2", "../a/b", "../a/b/img", "../../a/b/c", "runtime:img/r", "/img", "./runtime:x"]  # fmt: skip


@pytest.mark.parametrize("way", SAME)
@pytest.mark.parametrize("root", ROOTS)
def test_what_writes_the_root_itself(root: str, way: str) -> None:
    rows, _ = ROOTS[root]
    assert is_kept(reviewed(*rows))
    for operations in ([*SAME[way], *rows], [*rows, *SAME[way]]):
        if root.endswith("disk") and way == "disk" and operations[0] is SAME[way][0]:
            continue  # it would be the guest's first disk, and the root
        assert not is_kept(reviewed(*operations))


@pytest.mark.parametrize("path", HOLDING)
@pytest.mark.parametrize("root", ROOTS)
def test_what_writes_a_directory_that_holds_the_root(root: str, path: str) -> None:
    assert not is_kept(reviewed(*ROOTS[root][0], share(path)))
    assert is_kept(reviewed(*ROOTS[root][0], share(path, read_only=True)))


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize(
    "write", [share, disk, lambda path: step("open_file", path=path, name="l")]
)
def test_what_writes_into_the_root(write: Any, path: str) -> None:
    for root in ("libkrun's", "the stage's", "of another tag"):
        assert not is_kept(reviewed(*ROOTS[root][0], write(path)))


@pytest.mark.parametrize("path", APART)
@pytest.mark.parametrize("root", ROOTS)
def test_what_writes_elsewhere(root: str, path: str) -> None:
    for row in (share(path), step("open_file", path=path, name="l")):
        assert is_kept(reviewed(*ROOTS[root][0], row))


@pytest.mark.parametrize("path", [".", "..", "img", "../a"])
def test_a_file_holds_nothing(path: str) -> None:
    assert is_kept(reviewed(*ROOTS["libkrun's"][0], step("open_file", path=path, name="l")))


def test_an_image_of_the_store_lies_in_what_only_goes_up() -> None:
    rows = [*STAGED, disk("store:sha256:0", "r", True), order("root_disk", device="/dev/vda", fstype="erofs", options=None, access="read")]  # fmt: skip
    assert is_kept(reviewed(*rows, share("out"), share(".", "t"), share("../a", "u")))
    assert not is_kept(reviewed(*rows, share("..")))
    assert not is_kept(reviewed(*rows, share("/")))


ROOT = {"path": "./root"}
KEPT: dict[str, Any] = {"disks": [{"id": "d", "path": "d.img", "format": "raw"}]}


def test_what_is_kept_on_a_disk_of_the_host_reaches_the_host() -> None:
    host, discarded, kept = (
        reviewed_box({**BOX, **KEPT, "rootfs": {**ROOT, "changes": changes}}, "2")
        for changes in ("host", "discard", {"disk": "d"})
    )
    assert [is_kept(one) for one in (host, discarded, kept)] == [False, True, False]
    assert [change.text for change in compare(discarded, kept).of("widens")] == [
        "to the root: discarded with the VM, at most half of its memory -> to the root: kept on the disk /dev/vda (d.img), ext4"
    ]  # fmt: skip
    assert "changes" in {change.kind for change in compare(kept, discarded).of("narrows")}


BOXES: dict[str, dict[str, Any]] = {
    # No box has a share that holds the root: KR209.
    "share in the root": {"shares": [{"tag": "s", "path": "./root/etc", "read_only": False}]},
    "console": {"console": {"output": "./root/etc/profile"}},
    "port of a console": {"console": {"devices": [{"type": "virtio", "output": {"file": "./root/etc/profile"}}]}},
    "log": {"log": {"target": {"file": "./root/etc/profile"}}},
    "disk": {"disks": [{"id": "d", "path": "./root/etc/profile", "format": "raw"}]},
}  # fmt: skip


@pytest.mark.parametrize("what", BOXES)
def test_the_keys_of_a_box_that_write_its_root(what: str) -> None:
    box = {**BOX, "rootfs": {**ROOT, "changes": "discard"}}
    assert is_kept(reviewed_box(box, "2"))
    assert not is_kept(reviewed_box({**box, **BOXES[what]}, "2"))


# A path, one that it can lie in, and whether it can.
LIES = [
    ("a", "a", True), ("a/b", "a", True), ("a", "a/b", False), ("ab", "a", False), ("a", ".", True),
    ("a", "..", True), ("../a", "..", True), ("../a", ".", True), ("..", ".", False), ("../..", "..", False),
    ("a/c", "../x", True), ("a/c", "../x/a", True), ("a/c", "../x/c", False), ("../x/a", "a", True),
    ("../x", "a", False), ("../x/b", "a", False), ("../../x/y/a", "../y", True), ("../../x/y/a", "../z", False),
    ("/a", "/", True), ("/a", "/a", True), ("/ab", "/a", False), ("/", "/a", False), ("/var/run/x", "/run", True),
    ("a", "/", True), ("/a", "a", False), ("a", "/a", False), ("/a/b", "..", True), ("/a/b", ".", False),
    ("../../../a/b", "/a", True), ("/a/b", "../../../a", True), ("../../a/b", "/a", False), ("../../../b", "/a", False),
    ("runtime:a/b", "runtime:a", True), ("runtime:a", "a", False), ("runtime:a", "/", True), ("runtime:a", "..", True),
    ("runtime:a", ".", False), ("./runtime:a", "runtime:a", False), ("./runtime:a", ".", True),
]  # fmt: skip


@pytest.mark.parametrize(("inner", "outer", "can"), LIES)
def test_whether_a_path_can_lie_in_another(inner: str, outer: str, can: bool) -> None:
    assert may_lie_in(inner, outer) == can


@pytest.mark.parametrize("path", ["../../..", "a/../../../..", "../../../../../../../.."])
def test_what_goes_up_far_can_be_the_top(path: str) -> None:
    assert holds_devices(path)
    assert holds_views(path)
    assert holds_devices(f"{path}/dev/sda")
    assert holds_views(f"{path}/proc/1")
    assert not holds_devices(f"{path}/dev/shm/x")
    assert not holds_devices(f"{path}/data")
    lost = {fact.subject[0] for fact in reviewed(share(path, read_only=True)).isolation if not fact.held}  # fmt: skip
    assert {"devices", "environment"} <= lost


@pytest.mark.parametrize("path", [".", "..", "../..", "../../a", "../../dev", "dev/sda", "/a"])
def test_what_goes_up_less_is_not_told_from_its_text(path: str) -> None:
    assert not holds_devices(path)
    assert not holds_views(path)
