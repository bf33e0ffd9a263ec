"""Each way of writing a tar, and each way of writing one wrong."""

from __future__ import annotations

import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.image.limits import LIMITS, Limits
from krunc_compiler.image.refusal import LayerError
from tars import (
    END,
    HARD,
    by_tarfile,
    directory,
    file,
    gnu_long,
    head,
    layer,
    link,
    padded,
    pax,
    record,
    refused,
    summed,
    tree,
    written,
)

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def _member(name: str, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize("form", FORMATS)
def test_what_python_writes(form: str) -> None:
    deep = "/".join(["n" * 38] * 4) + "/" + "m" * 80
    members = [
        _member("f", size=700, mode=0o640, uid=1000, gid=2000, mtime=1_700_000_000),
        _member(deep, size=5_000),
        _member("l", type=tarfile.SYMTYPE, linkname="t" * 100),
        _member("h", type=tarfile.LNKTYPE, linkname="f"),
        _member("c", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        _member("d", type=tarfile.DIRTYPE, mode=0o1777),
    ]
    if form != "ustar":
        members += [
            _member("u", uid=4_000_000_000, gid=3_000_000, mtime=1 << 34),
            _member("n" * 255, size=3),
            _member("k", type=tarfile.SYMTYPE, linkname="t" * 4_095),
            _member("é", type=tarfile.LNKTYPE, linkname="n" * 255),
            _member("old", mtime=-5),
        ]
    found = tree(by_tarfile(*members, format=FORMATS[form]))
    f = found["/f"]
    assert (f.mode, f.uid, f.gid, f.mtime, f.links) == (0o100640, 1000, 2000, 1_700_000_000, 2)
    assert found["/" + deep].data == b"x" * 5_000
    assert found["/l"].data == b"t" * 100
    assert found["/c"].device == 0x103
    assert found["/d"].mode == 0o41777
    if form != "ustar":
        u = found["/u"]
        assert (u.uid, u.gid, u.mtime) == (4_000_000_000, 3_000_000, 1 << 34)
        assert found["/" + "n" * 255].data == b"xxx"
        assert found["/" + "n" * 255].number == found["/é"].number
        assert found["/k"].data == b"t" * 4_095
        assert found["/old"].mtime == -5


@pytest.mark.parametrize(
    "options",
    ["--format=gnu", "--format=gnu --sparse", "--format=oldgnu --sparse", "--format=ustar", "--format=v7",
     "--format=posix", *(f"--format=posix --sparse --sparse-version={v}" for v in ("0.0", "0.1", "1.0"))],
)  # fmt: skip
def test_what_gnu_tar_writes(options: str, tmp_path: Path) -> None:
    """Sparse files of many pieces, which need more than one block for their map, among others."""
    place = tmp_path / "in"
    (place / "d").mkdir(parents=True)
    for name, pieces in {
        "none": [],
        "one": [(0, 10)],
        "some": [(8192, 4096), (1 << 20, 5)],
    }.items():
        with open(place / name, "wb") as out:
            for offset, length in pieces:
                out.seek(offset)
                out.write(b"p" * length)
            out.truncate(3 << 20)
    with open(place / "d" / "many", "wb") as out:
        for number in range(120):
            out.seek(number * 65_536)
            out.write(b"%d" % number)
    (place / "d" / ("l" * 90)).symlink_to("many")
    (place / "h").hardlink_to(place / "d" / "many")
    packed = subprocess.run(
        ["tar", "-c", "-C", place, "--sort=name", *options.split(), "."], stdout=subprocess.PIPE, check=True
    )  # fmt: skip
    from erofs_reader import read

    found = read(written([layer(packed.stdout)])[1])
    for path in ("none", "one", "some", "d/many", "h"):
        assert found["/" + path].data == (place / path).read_bytes()
        assert found["/" + path].links == (2 if path in ("d/many", "h") else 1)
    assert found["/d/" + "l" * 90].data == b"many"
    if "posix" in options:
        stat = (place / "some").stat()
        assert found["/some"].mtime * 10**9 + found["/some"].nanoseconds == stat.st_mtime_ns


def test_records_for_one_entry_and_for_all() -> None:
    found = tree(
        pax({"mtime": "7.25", "uid": "9", "comment": "c", "path": ""}, b"g")
        + file("a")
        + pax({"mtime": "-1.5", "path": "b", "gid": "4000000000", "atime": "x", "uid": ""})
        + file("x", b"data")
        + link("l", "t")
    )
    told = {
        path: (node.uid, node.gid, node.mtime, node.nanoseconds) for path, node in found.items()
    }
    assert told["/a"] == (9, 0, 7, 250_000_000)
    assert told["/b"] == (0, 4_000_000_000, -2, 500_000_000)
    assert told["/l"] == (9, 0, 7, 250_000_000)


@pytest.mark.parametrize(
    ("text", "seconds", "nanoseconds"),
    [("0", 0, 0), ("1.", 1, 0), ("1.5", 1, 500_000_000), ("1.123456789999", 1, 123_456_789), ("-0.1", -1, 900_000_000),
     ("-3", -3, 0), ("00012.000000001", 12, 1), ("99999999999", 99_999_999_999, 0)],
)  # fmt: skip
def test_times(text: str, seconds: int, nanoseconds: int) -> None:
    found = tree(pax({"mtime": text}) + file("a"))["/a"]
    assert (found.mtime, found.nanoseconds) == (seconds, nanoseconds)


def test_names_of_every_form() -> None:
    long = "/".join(["p" * 200] * 3)
    found = tree(
        head("rest", prefix="pre/fix")
        + head("rest", prefix="no/prefix", magic=b"ustar  \0")
        + gnu_long(long.encode()) + gnu_long(b"t" * 300, b"K") + link("short", "short")
        + pax({"path": "from/pax", "linkpath": "/é"}) + link("x", "y")
        + gnu_long(b"gnu/wins") + pax({"path": "pax/loses"}) + file("x")
        + file(b"\xff\xfe") + file("a\nb")
    )  # fmt: skip
    assert found["/" + long].data == b"t" * 300
    assert found["/from/pax"].data == "/é".encode()
    assert {"/pre/fix/rest", "/rest", "/gnu/wins", "/\udcff\udcfe", "/a\nb"} <= set(found)
    assert "/pax" not in found
    assert "/no" not in found


def test_star_has_a_shorter_prefix() -> None:
    block = head("rest", prefix=b"pre".ljust(131, b"\0") + b"00000000000 00000000000 ")
    star = summed(block[:508] + b"tar\0")
    assert "/pre/rest" in tree(star)


def test_numbers_of_every_form() -> None:
    for spelled in (
        b"\x80" + b"\0" * 10 + b"\x05",
        b"5",
        b"    5",
        b"5 ",
        b"00000000005",
        b"5\0\0\0",
    ):
        block = head("a")
        block = summed(block[:124] + spelled.ljust(12, b"\0") + block[136:])
        assert tree(block + padded(b"12345"))["/a"].data == b"12345"
    old = summed(head("a")[:136] + b"\xff" * 11 + b"\xfe" + head("a")[148:])
    assert tree(old)["/a"].mtime == -2


def test_checksums_of_signed_bytes() -> None:
    block = bytearray(head(b"\xff\xfe"))
    total = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256
    block[148:156] = b"%06o\0 " % total
    assert "/\udcff\udcfe" in tree(bytes(block))


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"}
REFUSALS: list[tuple[str, bytes, str]] = [
    ("a checksum", file("a")[:148] + b"0000000\0" + file("a")[156:], "a header with checksum 0; expected a tar header"),
    ("no checksum", file("a")[:148] + b"zzzzzzz\0" + file("a")[156:], 'checksum "zzzzzzz"'),
    ("no tar", b"<html>" * 200, "checksum"),
    ("a size", head("a", uid="x"), 'entry "a": uid "x"; expected an octal number'),
    ("a size below zero", summed(head("a")[:124] + b"\xff" * 12 + head("a")[136:]), "a size of -1"),
    ("a size above all", summed(head("a")[:124] + b"\x80" + b"\xff" * 11 + head("a")[136:]), "a size of"),
    ("a size that is not there", head("a", size=2_048), "the tar is cut off"),
    ("an owner below zero", summed(head("a")[:108] + b"\xff" * 8 + head("a")[116:]), "uid -1"),
    ("nobody's number", pax({"uid": "4294967295"}) + file("a"), "uid 4294967295; expected 0 to 4294967294"),
    ("an owner's name", pax({"gid": "root"}) + file("a"), 'gid "root"'),
    ("a record's size", pax({"size": "-1"}) + file("a"), 'size "-1"'),
    ("a record's long size", pax({"size": "9" * 30}) + file("a"), "size"),
    ("a time", pax({"mtime": "now"}) + file("a"), 'mtime "now"'),
    ("a time, not of this world", pax({"mtime": "9" * 30}) + file("a"), "mtime"),
    ("NUL in a name", pax({"path": "a\0b"}) + file("a"), "NUL in the PAX record"),
    ("NUL in a link", pax({"linkpath": "a\0b"}) + link("a", "b"), "NUL in the PAX record"),
    ("a record without length", pax(b"x path=a\n") + file("a"), "expected LENGTH KEY=VALUE"),
    ("a record too long", pax(b"99 path=a\n") + file("a"), "a PAX record"),
    ("a record too short", pax(b"3 path=a\n") + file("a"), "a PAX record"),
    ("a record of length 0", pax(b"0 path=a\n") + file("a"), "a PAX record"),
    ("a record without =", pax(b"8 paths\n") + file("a"), "a PAX record"),
    ("a record without key", pax(b"5 =a\n") + file("a"), "a PAX record"),
    ("a length of other digits", pax("٩ a=b\n".encode()) + file("a"), "a PAX record"),
    ("a header for nothing", pax({"path": "a"}), "an extended header without an entry"),
    ("a long name for nothing", gnu_long(b"a"), "an extended header without an entry"),
    ("not base64", pax({"LIBARCHIVE.xattr.user.a": "!!"}) + file("a"), "is not base64"),
    ("a long name's ..", gnu_long(b"x/../y") + file("a"), 'entry "x/../y"'),
    ("a link's PAX ..", pax({"linkpath": "../b"}) + link("a", "b", HARD), '".." in a name'),
    ("a sparse map, odd", pax({"GNU.sparse.size": "9", "GNU.sparse.map": "1,2,3"}) + file("a"), "3 numbers"),
    ("a sparse map, falling", pax({"GNU.sparse.size": "9", "GNU.sparse.map": "5,1,2,1"}) + file("a", b"xx"), "rising offsets"),
    ("a sparse map, too much", pax({"GNU.sparse.size": "9", "GNU.sparse.map": "5,8"}) + file("a", b"x" * 8), "up to 13"),
    ("a sparse map, too little", pax({"GNU.sparse.size": "9", "GNU.sparse.map": "5,2"}) + file("a", b"x" * 3), "pieces of 2 bytes"),
    ("a sparse map of words", pax({"GNU.sparse.size": "9", "GNU.sparse.map": "a,b"}) + file("a"), 'sparse map "a"'),
    ("pairs without partner", pax(record("GNU.sparse.numbytes", "1")) + file("a"), "without its partner"),
    ("pairs of one kind", pax(record("GNU.sparse.offset", "1") * 2) + file("a"), "without its partner"),
    ("a sparse file without a map", pax(SPARSE) + file("a"), "a number in each line"),
    ("a sparse file's count", pax(SPARSE) + file("a", b"99999999999\n"), "99999999999 pieces"),
    ("a sparse file's words", pax(SPARSE) + file("a", b"x" * 512), "a number in each line"),
    ("an old sparse file's size", summed(head("a", b"S", 512)) + bytes(512), "pieces of 0 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tar", "said"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_tars_are_refused(tar: bytes, said: str) -> None:
    assert said in str(refused(tar))


BOUNDS: list[tuple[str, Limits, bytes, str]] = [
    ("contents", Limits(root_bytes=100), file("a", b"x" * 60) + file("b", b"x" * 41), 'entry "b": contents of 101 bytes; expected at most 100'),
    ("holes", Limits(root_bytes=100), pax({"GNU.sparse.size": "101", "GNU.sparse.map": "0,1"}) + file("a", b"x"), "contents of 101"),
    ("all sizes", LIMITS, pax({"GNU.sparse.size": str(1 << 60), "GNU.sparse.map": "0,1"}) + file("a", b"x"), "contents of 1152921504606846976"),
    ("entries", Limits(entries=4), directory("a") + directory("b") + file("c") + file("d"), 'entry "d": 5 entries'),
    ("directories that are omitted", Limits(entries=4), file("a/b/c/d/e"), "5 entries"),
    ("the same entry", Limits(entries=4), file("a") * 4, 'entry "a": 5 entries'),
    ("depth", Limits(depth=3), file("a/b/c/d"), "4 directories deep; expected at most 3"),
    ("depth through a link", Limits(depth=3), directory("a/b/c") + link("l", "a/b/c") + file("l/d/e"), "leads too deep"),
    ("a name", LIMITS, pax({"path": "d/" + "n" * 256}) + file("a"), "has 256 bytes; expected at most 255"),
    ("a name of bytes", LIMITS, gnu_long("é".encode() * 128) + file("a"), "has 256 bytes"),
    ("a directory's name", LIMITS, pax({"path": "n" * 300 + "/a"}) + file("a"), "has 300 bytes"),
    ("a link's name", LIMITS, link("l", "x") + pax({"linkpath": "n" * 256}) + link("m", "x") + file("m/a"), "names of at most 255 bytes"),
    ("a path", LIMITS, gnu_long(b"d/" * 2_049) + file("a"), "a name of 4098 bytes"),
    ("a target", LIMITS, gnu_long(b"t" * 4_096, b"K") + link("a", "b"), "a link's target of 4096 bytes"),
    ("a hard link's target", LIMITS, gnu_long(b"t" * 4_097, b"K") + link("a", "b", HARD), "a name of 4097 bytes"),
    ("an attribute's name", LIMITS, pax({"SCHILY.xattr.user." + "n" * 251: "v"}) + file("a"), "256 bytes"),
    ("an attribute's value", LIMITS, pax({"SCHILY.xattr.user.a": "v" * 65_536}) + file("a"), "its value 65536"),
    ("attributes", LIMITS, pax({f"SCHILY.xattr.user.{i}": "v" for i in range(129)}) + file("a"), "129 extended attributes"),
    ("attributes together", LIMITS, pax({f"SCHILY.xattr.user.{i}": "v" * 65_000 for i in range(3)}) + file("a"), "of 195"),
    ("an extended header", LIMITS, head("x", b"x", (1 << 20) + 1), "an extended header of 1048577 bytes"),
    ("an extended header for all", LIMITS, head("x", b"g", 1 << 40), "an extended header of"),
    ("extended headers for all", Limits(extended_header=200), pax({"SCHILY.xattr.user.a": "v" * 80}, b"g") + pax({"SCHILY.xattr.user.b": "v" * 90}, b"g") + file("a"), "more extended headers for all entries"),
    ("NUL in an attribute's name", LIMITS, pax({"SCHILY.xattr.user.a\0b": "v"}) + file("a"), "without NUL"),
    ("whiteouts", Limits(entries=4), file(".wh.a") * 5, 'entry ".wh.a": 5 entries'),
    ("hard links", Limits(entries=4), file("a") + b"".join(link(n, "a", HARD) for n in "bcde"), 'entry "d": 5 entries'),
    ("a way of many names", LIMITS, link("a", "b/./b") + gnu_long(b"x/" * 1_100, b"K") + link("b", "x") + file("a/f"), "a way over 2 links and 1103 names"),
    ("a long name", LIMITS, head("x", b"L", 1 << 30, magic=b"ustar  \0"), "an extended header of"),
    ("names together", Limits(tree_bytes=100), file("n" * 60) + file("m" * 41), "names, links and attributes of 101 bytes"),
    ("targets together", Limits(tree_bytes=100), link("l", "t" * 60) + link("m", "t" * 41), "attributes of 1"),
    ("pieces", Limits(sparse_pieces=2), pax({"GNU.sparse.size": "9", "GNU.sparse.map": "0,1,2,1,4,1"}) + file("a", b"xyz"), "at most 2"),
    ("pieces of 1.0", Limits(sparse_pieces=2), pax(SPARSE) + file("a", b"3\n0\n1\n"), "3 pieces of a sparse file"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "tar", "said"), [row[1:] for row in BOUNDS], ids=[row[0] for row in BOUNDS]
)
def test_bounds(limits: Limits, tar: bytes, said: str) -> None:
    assert said in str(refused(tar, limits=limits))


GOOD = (
    pax({"mtime": "1.5", "SCHILY.xattr.user.a": "v"}) + file("d/a", b"one" * 300) + link("l", "d")
    + link("h", "d/a", HARD) + gnu_long(b"n" * 120) + file("x") + file("d/.wh.b")
    + pax({**SPARSE}) + file("s", padded(b"2\n0\n1\n8\n2\n") + b"abc")
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans()), max_size=6
    )
)
def test_damage_is_refused_or_read(changes: list[tuple[int, int, bool]]) -> None:
    """Whatever stands in a tar, the answer is a root or a LayerError."""
    damaged = bytearray(GOOD)
    for at, byte, sums in changes:
        damaged[at] = byte
        start = at // 512 * 512
        if sums:  # so that what is in the header is read
            damaged[start : start + 512] = summed(bytes(damaged[start : start + 512]))
    with suppress(LayerError):
        written([layer(bytes(damaged) + END)], Limits(root_bytes=1 << 20, entries=100))


@given(st.dictionaries(st.sampled_from([b"GNU.sparse.map", b"GNU.sparse.size", b"GNU.sparse.offset", b"GNU.sparse.numbytes",
    b"GNU.sparse.realsize", b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"path", b"linkpath", b"size", b"uid",
    b"mtime", b"SCHILY.xattr.user.a", b"LIBARCHIVE.xattr.a%2", b"SCHILY.xattr."]),
    st.one_of(st.integers(0, 30).map(str).map(str.encode), st.binary(max_size=8), st.sampled_from([b"1", b"0", b"0,1,3,2", b"YQ"]))),
    st.sampled_from([b"0", b"1", b"2", b"5", b"S", b"g"]))  # fmt: skip
def test_any_record(records: dict[bytes, bytes], kind: bytes) -> None:
    data = b"".join(record(key.decode(), value) for key, value in records.items())
    tar = pax(data) + head("a", kind, 3, link="t") + padded(b"abc")
    with suppress(LayerError):
        written([layer(tar + END)], Limits(root_bytes=1 << 20))
