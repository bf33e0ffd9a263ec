"""Options of mounts are written as mount takes them, and contradict no key beside them."""

from __future__ import annotations

import pytest
from boxes_of import said

DISK = "{{id: a, path: ./a.img, format: raw{0}}}"


def of_disk(keys: str, **more: str) -> list[tuple[str, str, str, str]]:
    """What is said of a box that has a disk with KEYS."""
    return said(disks=f"[{DISK.format(keys)}]", **more)


@pytest.mark.parametrize(
    "options",
    ["noatime", "noatime,noexec", "subvol=a b,noatime", "data=journal", "x=a=b", "defaults"],
)
def test_options_as_mount_takes_them(options: str) -> None:
    assert of_disk(f', mount: /d, options: "{options}"') == []
    assert said(rootfs=f'{{disk: a, options: "{options}"}}', disks=f"[{DISK.format('')}]") == []


FORMS = [
    ("noatime, noexec", "noatime,noexec"),
    ("noatime ,noexec", "noatime,noexec"),
    ("noatime noexec", "noatime,noexec"),
    (" noatime", "noatime"),
    ("noatime,", "noatime"),
    (",noatime", "noatime"),
    ("noatime,,noexec", "noatime,noexec"),
    ("-o noatime", "noatime"),
    ("-o noatime,noexec", "noatime,noexec"),
    ("--options noatime", "noatime"),
    ("noexec subvol=a", "noexec,subvol=a"),
    ("subvol=a b, noexec", "subvol=a b,noexec"),
    ("noatime\\tnoexec", "noatime,noexec"),
]


@pytest.mark.parametrize(("options", "meant"), FORMS)
def test_commas_alone_are_between_options(options: str, meant: str) -> None:
    root = said(rootfs=f'{{disk: a, options: "{options}"}}', disks=f"[{DISK.format('')}]")
    disk = of_disk(f', mount: /d, options: "{options}"')
    for found, where in ((root, "rootfs.options"), (disk, "disks.0.options")):
        ((code, path, _, hint),) = [one for one in found if one[0] != "KR202"]
        assert (code, path, hint) == ("KR106", where, f'write "{meant}"')


def test_no_options_at_all() -> None:
    ((code, _, _, hint),) = of_disk(', mount: /d, options: " , "')
    assert code == "KR106"
    assert "remove it" in hint


ACCESS = [
    (", options: ro", ["KR209"]),
    (', options: "noatime,ro"', ["KR209"]),
    (", read_only: false, options: ro", ["KR209"]),
    (", read_only: true, options: rw", ["KR209"]),
    (", read_only: true, options: ro", []),
    (", options: rw", []),
    (', options: "ro,rw"', ["KR209"]),
    (', read_only: true, options: "rw,ro"', ["KR209"]),
    (', options: "errors=remount-ro"', []),
]


@pytest.mark.parametrize(("keys", "codes"), ACCESS)
def test_access_is_said_once(keys: str, codes: list[str]) -> None:
    assert [code for code, *_ in of_disk(f", mount: /d{keys}")] == codes


ROOTS = [
    ("read_only: true, options: rw", ", read_only: true", ["KR209"]),
    ("read_only: true, options: ro", ", read_only: true", []),
    ("changes: host, options: ro", "", ["KR209"]),
    ("changes: discard, options: ro", ", read_only: true", []),
    ('options: "ro,rw"', "", ["KR209"]),
    # Another part of the disk may be written.
    ("options: ro", "", []),
    ("options: ro", ", read_only: true", []),
]


@pytest.mark.parametrize(("root", "disk", "codes"), ROOTS)
def test_access_to_the_root(root: str, disk: str, codes: list[str]) -> None:
    assert [code for code, *_ in of_disk(disk, rootfs=f"{{disk: a, {root}}}")] == codes


@pytest.mark.parametrize("key", ["fstype: ext4", "fstype: xfs", "options: noatime"])
def test_what_belongs_to_a_mount_needs_one(key: str) -> None:
    ((code, path, _, hint),) = of_disk(f", {key}")
    name = key.partition(":")[0]
    assert (code, path) == ("KR210", f"disks.0.{name}")
    assert "mount: /PATH" in hint
    assert of_disk(f", {key}, mount: /d") == []
    ((code, _, _, hint),) = of_disk(f", {key}", rootfs="{disk: a}")
    assert code == "KR210"
    assert f"rootfs.{name}" in hint


def test_a_disk_of_changes_has_a_file_system() -> None:
    assert of_disk(", fstype: xfs", rootfs="{path: ./r, changes: {disk: a}}") == []
