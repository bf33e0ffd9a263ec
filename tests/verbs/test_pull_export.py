"""krunc pull --export and --import: roots for hosts that reach no registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from registry import Krunc, Layout, box, small

Member = tuple[str, bytes, dict[str, Any]]


@pytest.fixture
def boxes(krunc: Krunc, layout: Layout) -> list[str]:
    """Two boxes with locks, and their roots in the store."""
    found = []
    for name in ("a", "b"):
        layout.tag(layout.image(small(name.encode())), name)
        found.append(box(f"oci:layout:{name}", name))
    krunc("pull", ".")
    return found


def roots() -> list[Path]:
    return sorted(Path("store").glob("*.erofs"))


def archive(*members: Member) -> str:
    """A tar of MEMBERS by hand."""
    with tarfile.open("made.tar", "w") as made:
        for name, data, fields in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in fields.items():
                setattr(member, field, value)
            made.addfile(member, io.BytesIO(data))
    return "made.tar"


def test_there_and_back(krunc: Krunc, boxes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = krunc("pull", "--export", "roots.tar", ".")
    assert "wrote roots.tar (2 roots)" in said
    with tarfile.open("roots.tar") as made:
        assert sorted(made.getnames()) == [path.name for path in roots()]
    first = Path("roots.tar").read_bytes()
    krunc("pull", "--export", "roots.tar", "--store", "another", ".")
    assert Path("roots.tar").read_bytes() == first
    monkeypatch.setenv("PATH", "/nowhere")
    said = krunc("pull", "--import", "roots.tar", "--store", "there", ".")
    assert "took 2 roots of 2" in said
    assert {path.name for path in Path("there").glob("*.erofs")} == {path.name for path in roots()}
    krunc("pull", "--locked", "--store", "there", ".")
    assert "took 0 roots of 2" in krunc("pull", "--import", "roots.tar", "--store", "there", ".")
    # Only what the boxes that are named need.
    assert "took 1 root of 1" in krunc("pull", "--import", "roots.tar", "--store", "one", boxes[0])
    value = json.loads(krunc("pull", "--json", "--import", "roots.tar", "--store", "json", "."))
    assert [row["fetched"] for row in value["images"]] == [True, True]


def test_by_pipes(krunc: Krunc, boxes: list[str]) -> None:
    krunc_ = [sys.executable, "-m", "krunc", "pull"]
    done = subprocess.run([*krunc_, "--export", "-", "."], capture_output=True, check=True)
    assert b"wrote" not in done.stderr
    into = [*krunc_, "--import", "-", "--store", "there", "."]
    subprocess.run(into, input=done.stdout, capture_output=True, check=True)
    assert len(list(Path("there").glob("*.erofs"))) == 2


def test_export_fetches_what_is_missing(krunc: Krunc, boxes: list[str]) -> None:
    for path in roots():
        path.unlink()
    assert krunc("pull", "--export", "roots.tar", ".").count("fetched") == 2
    os.unlink("a.lock.json")
    os.unlink("roots.tar")
    assert "there is no lock a.lock.json" in krunc("pull", "--export", "roots.tar", ".", status=1)
    assert not Path("roots.tar").exists()


@pytest.mark.parametrize("where", ["missing/roots.tar", "layout", "link"])
def test_where_no_archive_can_be(where: str, krunc: Krunc, boxes: list[str]) -> None:
    Path("link").symlink_to("elsewhere")
    assert "KR715" in krunc("pull", "--export", where, ".", status=1)
    assert not Path("elsewhere").exists()


def test_another_content(krunc: Krunc, boxes: list[str]) -> None:
    one, two = roots()
    data = one.read_bytes()
    for bad in (data[:-1] + b"!", data + b"!", data[:-1], b""):
        made = archive((one.name, bad, {}), (two.name, two.read_bytes(), {}))
        said = krunc("pull", "--import", made, "--store", "there", ".", status=1)
        assert "error[KR715]" in said
        assert one.name.removesuffix(".erofs")[7:] in said
        assert os.listdir("there") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "../x"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"name": "../{}"},
        {"name": "/tmp/{}"},
        {"name": "./x/{}"},
    ],
)
def test_other_members(fields: dict[str, Any], krunc: Krunc, boxes: list[str]) -> None:
    one, two = roots()
    changed = {
        key: str(value).format(one.name) if key == "name" else value
        for key, value in fields.items()
    }
    data = one.read_bytes() if "name" in fields else b""
    made = archive((one.name, data, changed), (two.name, two.read_bytes(), {}))
    said = krunc("pull", "--import", made, "--store", "there", ".", status=1)
    assert "error[KR715]" in said
    assert {path.name for path in Path("there").glob("*.erofs")} <= {two.name}
    assert not [path for path in Path("there").iterdir() if path.name.startswith(".pull-")]


@pytest.mark.parametrize(
    "content",
    [b"", b"notes", bytes(10_240), b"\x1f\x8b" + bytes(600), os.urandom(2_000)],
    ids=["empty", "text", "zeros", "gzip", "random"],
)
def test_what_is_no_archive(content: bytes, krunc: Krunc, boxes: list[str]) -> None:
    Path("x.tar").write_bytes(content)
    said = krunc("pull", "--import", "x.tar", "--store", "there", ".", status=1)
    assert "KR715" in said
    assert os.listdir("there") == []
    assert "KR715" in krunc("pull", "--import", "missing.tar", "--store", "there", ".", status=1)


def test_an_archive_that_is_cut_off(krunc: Krunc, boxes: list[str]) -> None:
    krunc("pull", "--export", "roots.tar", ".")
    whole = Path("roots.tar").read_bytes()
    for length in (100, 600, 5_000, 9_000):
        Path("cut.tar").write_bytes(whole[:length])
        krunc("pull", "--import", "cut.tar", "--store", "there", ".", status=1)
    for path in Path("there").glob("*.erofs"):
        assert f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}.erofs" == path.name


def test_a_lock_that_lies_is_not_noted(krunc: Krunc, boxes: list[str]) -> None:
    """What a stranger's lock says of an image that is imported counts for that lock alone."""
    krunc("pull", "--export", "roots.tar", ".")
    lock = json.loads(Path("a.lock.json").read_text())
    other = json.loads(Path("b.lock.json").read_text())
    lock["images"][0]["root"] = other["images"][0]["root"]
    good = Path("a.lock.json").read_text()
    Path("a.lock.json").write_text(json.dumps(lock))
    krunc("pull", "--import", "roots.tar", "--store", "there", ".")
    krunc("pull", "--store", "there", ".")
    assert Path("a.lock.json").read_text() == good
