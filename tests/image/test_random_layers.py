"""Layers at random, of few names, so that they meet: the tree is umoci's, or both refuse."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from pathlib import Path

import pytest
from erofs_reader import read
from krunc_compiler.image.refusal import LayerError
from layouts import layout
from tars import END, HARD, directory, file, layer, link, written

Tree = dict[str, tuple[int, int, int, bytes]]


class Names:
    """Names and entries at random: directories a, b and l, which can be a link, and files x to z."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def name(self, depth: int, leaves: str) -> str:
        choice, count = self._random.choice, self._random.randint(0, depth)
        return "/".join([choice("abl") for _ in range(count)] + [choice(leaves)])

    def entry(self) -> bytes:
        kind = self._random.random()
        if kind < 0.3:
            mode = self._random.choice((b"0000644", b"0004755"))
            return file(self.name(3, "xyz"), b"%d" % self._random.randint(0, 9), mode=mode)
        if kind < 0.5:
            owner = self._random.choice((b"0000000", b"0000005"))
            return directory(self.name(2, "abl"), uid=owner)
        if kind < 0.65:
            up = self._random.choice(("/", "", "../", "../../"))
            return link(self.name(1, "llx"), up + self.name(2, "abx"))
        if kind < 0.78:
            return link(self.name(3, "xyz"), self.name(3, "xyz"), HARD)
        above, slash, leaf = self.name(3, "abxyz").rpartition("/")
        opaque = self._random.random() < 0.3
        return file(above + slash + (".wh..wh..opq" if opaque else ".wh." + leaf))

    def tars(self) -> list[bytes]:
        counts = [self._random.randint(1, 7) for _ in range(self._random.randint(1, 3))]
        return [b"".join(self.entry() for _ in range(count)) for count in counts]


def ours(tars: list[bytes]) -> Tree | str:
    try:
        found = read(written([layer(tar + END) for tar in tars])[1])
    except LayerError as error:
        return str(error)
    del found["/"]
    return {path: _told(node.mode, node.uid, node.links, node.data) for path, node in found.items()}


def umocis(tars: list[bytes], place: Path) -> Tree | str:
    name = layout(place / "layout", [layer(tar + END) for tar in tars])
    done = subprocess.run(
        ["umoci", "unpack", "--image", name, place / "bundle"], capture_output=True, text=True
    )
    if done.returncode:
        return done.stderr
    top = place / "bundle" / "rootfs"
    found = {}
    for above, directories, files in os.walk(top):
        for path in (Path(above, name) for name in directories + files):
            told = path.lstat()
            data = b""
            if stat.S_ISLNK(told.st_mode):
                data = os.readlink(path).encode()
            elif stat.S_ISREG(told.st_mode):
                data = path.read_bytes()
            found[f"/{path.relative_to(top)}"] = _told(
                told.st_mode, told.st_uid, told.st_nlink, data
            )
    return found


def _told(mode: int, owner: int, names: int, data: bytes) -> tuple[int, int, int, bytes]:
    is_directory = stat.S_ISDIR(mode)
    return mode, owner, 0 if is_directory else names, b"" if is_directory else data


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can unpack owners")
def test_random_layers(tmp_path: Path) -> None:
    names = Names(17)
    made = 0
    for number in range(150):
        tars = names.tars()
        found, expected = ours(tars), umocis(tars, tmp_path / str(number))
        if isinstance(expected, str) and not isinstance(found, str):
            # umoci removes what is at a link's name before it looks for the link's file.
            assert "link: no such file or directory" in expected
            continue
        assert isinstance(found, str) == isinstance(expected, str), (found, expected)
        if not isinstance(found, str):
            assert found == expected
            made += 1
    assert made > 40
