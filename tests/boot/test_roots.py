"""Roots that the writer made of layers, read by the guests' own kernels."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from backports import zstd
from boots import Boot
from krunc_compiler.image.root import write_root
from tars import CHAR, END, HARD, directory, file, head, layer, link, pax

pytestmark = pytest.mark.boot

_NAMES = b"".join(link(f"srv/wide/{'n' * 85}{number}", "x") for number in range(100, 400))
_OWN = (
    file("srv/su", b"#!/bin/sh\n", mode=b"0006755", uid=b"0001750", gid=b"0000144")
    + link("srv/again", "srv/su", HARD) + link("srv/link", "../etc/alpine-release")
    + pax({"mtime": "1700000000.5", "SCHILY.xattr.user.a": "v" * 5_000})
    + file("srv/large", b"0123456789abcde\n" * 10_000)
    + file("srv/small", b"s" * 3_000) + file("etc/.wh.inittab") + directory("srv/wide") + _NAMES
    + head("srv/null", CHAR, major=b"0000001", minor=b"0000003", mode=b"0000666")
)  # fmt: skip
_SCRIPT = """\
stat -c '%n %a %u:%g %s %h %F %Y' /srv/su /srv/again /srv/large /srv/small /srv/null
cat /srv/link; cat /srv/large /srv/small | md5sum; ls /srv/wide | wc -l
test ! -e /etc/inittab && echo whited out
find / -xdev -type f -exec md5sum {} + >/dev/null && echo all read
echo new >/srv/new && cat /srv/new
exit 3
"""


def test_a_root_of_layers(
    boot: Callable[..., Boot], boxes: Path, shown: Callable[[str], None]
) -> None:
    spec = find_spec("smol")
    assert spec is not None
    assert spec.origin is not None
    packed = (Path(spec.origin).parent / "agent-rootfs.tar.zst").read_bytes()
    layers = [layer(zstd.decompress(packed), packed, "zstd"), layer(_OWN + END)]
    with open(boxes / "root.erofs", "w+b") as out, tempfile.TemporaryFile() as scratch:
        release = write_root(layers, out, scratch).read("/etc/alpine-release", 99)
    assert release is not None
    box = {
        "krunc": 1,
        "name": "layers",
        "machine": {"cpus": 1, "memory": "256MiB"},
        "rootfs": {"disk": "root", "fstype": "erofs", "changes": "discard"},
        "disks": [{"id": "root", "path": "./root.erofs", "format": "raw", "read_only": True}],
        "network": {"mode": "tsi"},
        "entrypoint": {"script": _SCRIPT},
    }
    (boxes / "layers.yaml").write_text(json.dumps(box), "utf-8")
    done = boot("layers", prints=True)
    assert done.stdout.splitlines() == [
        "/srv/su 6755 1000:100 10 2 regular file 0",
        "/srv/again 6755 1000:100 10 2 regular file 0",
        "/srv/large 644 0:0 160000 1 regular file 1700000000",
        "/srv/small 644 0:0 3000 1 regular file 0",
        "/srv/null 666 0:0 0 1 character special file 0",
        release.decode().strip(),
        "60b433fb311f8627bac0ffaf85270df6  -",
        "300",
        "whited out",
        "all read",
        "new",
    ]
    assert done.status == 3, done
    shown("a root of an image's layers, written by krunc")
