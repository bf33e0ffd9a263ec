"""What to write where a string is wanted and something else stands."""

from __future__ import annotations

import pytest
from boxes_of import said

DISK = "[{{id: a, path: ./a, format: raw, mount: /d, {0}}}]"
COMMANDS = "write | in its place, and each command on a line of its own below it"

STRINGS: list[tuple[dict[str, str], str]] = [
    ({"entrypoint": "{executable: /bin/a, before: [ls]}"}, COMMANDS),
    ({"entrypoint": "{executable: /bin/a, before: [cd /a, ls]}"}, COMMANDS),
    ({"disks": DISK.format("options: [noatime]")}, 'write one string: "noatime"'),
    ({"disks": DISK.format("options: [noatime, noexec]")}, 'write one string: "noatime,noexec"'),
    ({"rootfs": "{disk: a, options: [a, b]}"}, 'write one string: "a,b"'),
    ({"disks": DISK.format("fstype: [ext4]")}, 'write one string: "ext4"'),
    ({"labels": "{note: [a]}"}, 'write one string: "a"'),
    ({"labels": "{note: {a: b}}"}, "write one string"),
    ({"labels": "{note: [a, b]}"}, "write one string"),
]


@pytest.mark.parametrize(("keys", "way"), STRINGS)
def test_a_list_or_a_map_for_a_string(keys: dict[str, str], way: str) -> None:
    (hint,) = [hint for code, _, _, hint in said(**keys) if code == "KR103"]
    assert hint == way


MODES = [
    ("0o755", 'write "0755"'),
    ("0o700", 'write "0700"'),
    ("0o1777", "put it in quotes"),  # YAML makes 1023 of it, which is a mode, too
    ("493", 'write "0755"'),
    ("0755", "put it in quotes"),
    ("755", "put it in quotes"),
    ('"0o755"', 'write "0755"'),
    ('"0o1777"', 'write "1777"'),
    ("99999", "write three octal digits in quotes"),
    ("-1", "write three octal digits in quotes"),
    ("true", "write three octal digits in quotes"),
    ('"u=rwx"', "write three octal digits in quotes"),
]


@pytest.mark.parametrize(("mode", "way"), MODES)
def test_a_mode(mode: str, way: str) -> None:
    ((_, path, _, hint),) = said(tmpfs=f"[{{path: /t, mode: {mode}}}]")
    assert path == "tmpfs.0.mode"
    assert hint.startswith(way)
