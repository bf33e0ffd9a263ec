"""What becomes of the entries of layers: OCI's rules, in the tree that the file system has."""

from __future__ import annotations

from collections.abc import Callable
from stat import S_ISDIR

import pytest
from erofs_reader import Found
from tars import BLOCK, CHAR, FIFO, HARD, directory, file, head, link, pax, refused, tree

Row = tuple[str, list[bytes], dict[str, str]]


def shown(found: Found) -> str:
    """What is at a path, in short: its mode, the owner if it is another than root, the contents."""
    owner = f" {found.uid}:{found.gid}" if found.uid or found.gid else ""
    names = f" x{found.links}" if found.links > 1 and not S_ISDIR(found.mode) else ""
    data = "" if S_ISDIR(found.mode) else found.data.decode("ascii", "replace")
    return f"{found.mode:06o}{owner}{names} {data}".strip()


D, F, L = "040755", "100644", "120777"
A = file("a", b"one")

ROWS: list[Row] = [
    ("nothing", [b""], {}),
    ("a file", [A], {"a": f"{F} one"}),
    ("a later layer's", [A, file("a", b"two")], {"a": f"{F} two"}),
    ("a later entry's", [A + file("a", b"two")], {"a": f"{F} two"}),
    ("./ and /", [file("./a", b"1") + file("/b", b"2") + file(".//c/./d", b"3")],
     {"a": f"{F} 1", "b": f"{F} 2", "c": D, "c/d": f"{F} 3"}),
    ("without parents", [file("p/q/r", uid="0000005")], {"p": D, "p/q": D, "p/q/r": f"{F} 5:0"}),
    ("parents told later", [file("p/q") + directory("p", mode=b"0001777", gid="0000007")],
     {"p": "041777 0:7", "p/q": F}),
    ("the root itself", [directory("./", mode=b"0000700", uid="0000003")], {"": "040700 3:0"}),
    ("all bits of a mode", [file("s", mode=b"0007777")], {"s": "107777"}),
    ("bits beyond a mode", [file("s", mode=b"0100755")], {"s": "100755"}),
    ("a directory stays", [directory("d", mode=b"0000700") + file("d/x"), directory("d")],
     {"d": D, "d/x": F}),
    ("a directory for a file", [A, directory("a") + file("a/b")], {"a": D, "a/b": F}),
    ("a file for a directory", [file("d/x"), file("d", b"y")], {"d": f"{F} y"}),
    ("a file for a directory, and back", [file("d/x"), file("d"), file("e")], {"d": F, "e": F}),
    ("a directory for a link to one", [directory("d") + file("d/x") + link("l", "d"), directory("l")],
     {"d": D, "d/x": F, "l": D}),
    ("through a link", [directory("d") + link("l", "d"), file("l/x")],
     {"d": D, "d/x": F, "l": f"{L} d"}),
    ("through links", [directory("a/b") + link("a/up", "../c") + link("c", "/a/./b"), file("a/up/x")],
     {"a": D, "a/b": D, "a/b/x": F, "a/up": f"{L} ../c", "c": f"{L} /a/./b"}),
    ("a link that leads out", [link("l", "../../etc"), file("l/x")],
     {"etc": D, "etc/x": F, "l": f"{L} ../../etc"}),
    ("a link to nothing", [link("l", "/no/../e/f"), file("l/x")],
     {"e": D, "e/f": D, "e/f/x": F, "l": f"{L} /no/../e/f"}),
    ("a link replaced", [link("l", "d") + directory("d"), file("l", b"x")], {"d": D, "l": f"{F} x"}),
    ("links of any target", [link("l", "/etc/shadow") + link("m", "m") + link("n", " ")],
     {"l": f"{L} /etc/shadow", "m": f"{L} m", "n": f"{L}"}),
    ("a link's mode", [link("l", "x", mode=b"0000600")], {"l": f"{L} x"}),
    ("a hard link", [A + link("b", "a", HARD)], {"a": f"{F} x2 one", "b": f"{F} x2 one"}),
    ("a hard link's own mode counts for nothing", [A + link("b", "./a", HARD, mode=b"0004777")],
     {"a": f"{F} x2 one", "b": f"{F} x2 one"}),
    ("a hard link to a lower layer", [A, link("d/b", "/a", HARD)],
     {"a": f"{F} x2 one", "d": D, "d/b": f"{F} x2 one"}),
    ("a hard link, its file replaced", [A, link("b", "a", HARD) + file("a", b"two")],
     {"a": f"{F} two", "b": f"{F} one"}),
    ("a hard link, its file whited out", [A, link("b", "a", HARD) + file(".wh.a")],
     {"b": f"{F} one"}),
    ("a whiteout of one of two names", [A + link("b", "a", HARD), file(".wh.a") + link("c", "b", HARD)],
     {"b": f"{F} x2 one", "c": f"{F} x2 one"}),
    ("a hard link is no lower layer's", [A, link("b", "a", HARD) + file(".wh.b")],
     {"a": f"{F} x2 one", "b": f"{F} x2 one"}),
    ("a hard link to itself", [A + link("a", "a", HARD)], {"a": f"{F} one"}),
    ("a hard link to a link", [link("l", "x") + link("h", "l", HARD)],
     {"l": f"{L} x2 x", "h": f"{L} x2 x"}),
    ("a hard link through a link", [file("d/x", b"1") + link("l", "d") + link("h", "l/x", HARD)],
     {"d": D, "d/x": f"{F} x2 1", "l": f"{L} d", "h": f"{F} x2 1"}),
    ("a hard link for a directory", [A + file("d/x"), link("d", "a", HARD)],
     {"a": f"{F} x2 one", "d": f"{F} x2 one"}),
    ("a whiteout", [A + file("b"), file(".wh.a")], {"b": F}),
    ("a whiteout with contents", [A, file(".wh.a", b"x" * 600) + file("b")], {"b": F}),
    ("a whiteout of a directory", [file("d/e/x") + file("f"), file(".wh.d")], {"f": F}),
    ("a whiteout of nothing", [A, file("no/.wh.x") + file(".wh.y")], {"a": f"{F} one"}),
    ("a whiteout through a link", [file("d/x") + link("l", "d"), file("l/.wh.x")],
     {"d": D, "l": f"{L} d"}),
    ("a whiteout below a file", [A, file("a/.wh.x")], {"a": f"{F} one"}),
    ("a whiteout first", [A, file(".wh.a") + file("a", b"two")], {"a": f"{F} two"}),
    ("a whiteout last", [A, file("a", b"two") + file(".wh.a")], {"a": f"{F} two"}),
    ("a whiteout of its own layer", [A + file(".wh.a")], {"a": f"{F} one"}),
    ("a whiteout of a directory that has new files", [file("d/x") + file("d/y"), file("d/z") + file(".wh.d")],
     {"d": D, "d/z": F}),
    ("an opaque directory", [file("d/x") + file("d/e/y"), file("d/.wh..wh..opq") + file("d/z")],
     {"d": D, "d/z": F}),
    ("an opaque directory, told last", [file("d/x") + file("d/e/y") + file("d/e/w"),
     file("d/z") + file("d/e/y", b"2") + file("d/.wh..wh..opq")],
     {"d": D, "d/z": F, "d/e": D, "d/e/y": f"{F} 2"}),
    ("an opaque root", [A + file("d/x"), file(".wh..wh..opq") + file("b")], {"b": F}),
    ("an opaque directory keeps a hard link", [A + file("d/x"), link("d/b", "a", HARD) + file("d/.wh..wh..opq")],
     {"a": f"{F} x2 one", "d": D, "d/b": f"{F} x2 one"}),
    ("three layers", [A + file("b"), file(".wh.a"), link("a", "b", HARD)],
     {"a": f"{F} x2", "b": f"{F} x2"}),
    ("a FIFO", [head("p", FIFO, mode=b"0000600")], {"p": "010600"}),
    ("old directories", [head("d/", b"\0")], {"d": "040644"}),
    ("old files", [head("f", b"\0", 3) + file("", b"abc")[512:]], {"f": f"{F} abc"}),
    ("contiguous files", [head("f", b"7", 3) + file("", b"abc")[512:]], {"f": f"{F} abc"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_layers_make(layers: list[bytes], expected: dict[str, str]) -> None:
    found = {path.lstrip("/"): shown(node) for path, node in tree(*layers).items()}
    assert found == {"": D, **expected}


@pytest.mark.parametrize(
    ("kind", "major", "minor", "number"),
    [(CHAR, b"0000001", b"0000003", 0x103), (BLOCK, b"0000410", b"0001001", 0x210801),
     (CHAR, b"0007777", b"3777777", 0xFFFFFFFF), (CHAR, b"0000000", b"0000000", 0)],
)  # fmt: skip
def test_devices(kind: bytes, major: bytes, minor: bytes, number: int) -> None:
    found = tree(head("d", kind, major=major, minor=minor, mode=b"0000666"))["/d"]
    assert (found.device, found.mode & 0o7777, found.size) == (number, 0o666, 0)


def test_attributes() -> None:
    given: dict[str, bytes | str] = {
        "SCHILY.xattr.user.a": b"\0\xff", "SCHILY.xattr.security.capability": b"\x01" * 20,
        "SCHILY.xattr.system.posix_acl_access": b"\x02\0\0\0", "SCHILY.xattr.trusted.x": "=\n",
        "LIBARCHIVE.xattr.user.b%2F": "YWI", "LIBARCHIVE.xattr.user.a": "YWI=",
        "SCHILY.xattr.com.apple.provenance": "x", "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.system.nfs4_acl": "x", "SCHILY.xattr.user.": "x", "SCHILY.xattr.user.c": "",
    }  # fmt: skip
    found = tree(pax(given) + file("a", b"x" * 5000) + file("b"))
    assert found["/a"].xattrs == {
        b"user.a": b"\0\xff", b"security.capability": b"\x01" * 20,
        b"system.posix_acl_access": b"\x02\0\0\0", b"trusted.x": b"=\n", b"user.b/": b"ab",
    }  # fmt: skip
    assert found["/a"].data == b"x" * 5000
    assert found["/b"].xattrs == {}


def test_large_attributes() -> None:
    """They take more than a block, and the contents follow."""
    given: dict[str, bytes | str] = {
        "SCHILY.xattr.user.a": b"v" * 65_535,
        "SCHILY.xattr.user.b": "w",
    }
    for size in (0, 100, 4096, 5000):
        found = tree(
            pax(given) + file("a", b"x" * size) + pax(given) + directory("d") + file("d/x")
        )
        assert (
            found["/a"].xattrs == {b"user.a": b"v" * 65_535, b"user.b": b"w"} == found["/d"].xattrs
        )
        assert found["/a"].data == b"x" * size


def test_a_directory_takes_the_attributes_of_its_last_entry() -> None:
    before, after = (pax({"SCHILY.xattr.user.a": value}) + directory("d") for value in "12")
    assert tree(before, after)["/d"].xattrs == {b"user.a": b"2"}
    assert tree(before, directory("d"))["/d"].xattrs == {}


@pytest.mark.parametrize("size", [0, 1, 4031, 4032, 4033, 4095, 4096, 4097, 8128, 8129, 300_000])
def test_contents_of_each_length(size: int) -> None:
    data = (b"%07d\n" % size * (size // 8 + 1))[:size]
    found = tree(file("before", b"b" * 100) + file("a", data) + file("after", b"a" * 5000))
    assert found["/a"].data == data
    assert found["/before"].data == b"b" * 100
    assert found["/after"].data == b"a" * 5000


def test_blocks_of_replaced_files_are_closed_up() -> None:
    """Nothing of a file that is gone is in the root; the others keep what they have."""
    first = b"".join(file(f"f{i}", b"%d-" % i * 10_000) for i in range(20))
    second = b"".join(file(f".wh.f{i}") for i in range(0, 20, 3)) + file("f1", b"new" * 9_000)
    found = tree(first, second)
    only = tree(b"".join(file(f"f{i}", b"%d-" % i * 10_000) for i in range(20) if i % 3 and i > 1)
                + file("f1", b"new" * 9_000))  # fmt: skip
    assert {path: node.data for path, node in found.items() if path != "/"} == {
        path: node.data for path, node in only.items() if path != "/"
    }


def test_directories_of_any_width() -> None:
    for count in (0, 1, 100, 255, 256, 5_000):
        names = [f"d/{'n' * (i % 80)}{i}" for i in range(count)]
        found = tree(directory("d") + b"".join(link(name, "x") for name in names))
        assert sorted(path for path in found if path.startswith("/d/")) == sorted(
            "/" + name for name in names
        )


REFUSALS: list[tuple[str, list[bytes], str]] = [
    ("..", [file("a/../b")], 'entry "a/../b": ".." in a name'),
    (".. first", [file("../b")], '".." in a name'),
    (".. in a hard link", [A + link("b", "d/../a", HARD)], 'entry "b": ".." in a name'),
    ("a hard link to nothing", [link("b", "a", HARD)], 'a hard link to "a", which is not there'),
    ("a hard link to what comes later", [link("b", "a", HARD) + A], "not there"),
    ("a hard link to what is whited out", [A, file(".wh.a") + link("b", "a", HARD)], "not there"),
    ("a hard link to a directory", [directory("d") + link("b", "d", HARD)], "a directory"),
    ("a hard link to the root", [link("b", "/", HARD)], "not there"),
    ("a hard link for the root", [A + link(".", "a", HARD)], "for the root"),
    ("a file for the root", [file("./")], "for the root"),
    ("no name", [file("")], "for the root"),
    ("below a file", [A, file("a/b")], "below what is not a directory"),
    ("below a link to a file", [A + link("l", "a"), file("l/b")], "below what is not a directory"),
    ("through a circle", [link("l", "m") + link("m", "l"), file("l/b")], "41 links"),
    ("an empty link", [link("l", "")], "a link's target of 0 bytes"),
    ("a whiteout of ..", [file("d/.wh...")], 'a whiteout of ".."'),
    ("a whiteout of .", [file("d/.wh..")], 'a whiteout of "."'),
    ("a whiteout of no name", [file("d/.wh.")], 'a whiteout of ""'),
    ("below a whiteout", [file(".wh.d/x")], "a name below a whiteout"),
    ("aufs's own", [file(".wh..wh.plnk/1.2")], "a name below a whiteout"),
    ("a letter without meaning", [head("v", b"V")], 'entry "v": type "V"'),
    ("a device's number", [head("d", CHAR, major=b"0010000")], "device 4096:0"),
    ("a terminal's language", [file("../\x1b[31m\n")], 'entry "../\\x1b[31m\\n"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "said"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_layers_are_refused(layers: list[bytes], said: str) -> None:
    assert said in str(refused(*layers))


def test_what_a_root_tells_of_itself() -> None:
    from tars import END, layer, written

    tar = (
        file("etc/passwd", b"root:x:0:0")
        + link("usr/etc", "../etc")
        + link("l", "l")
        + directory("d")
    )
    root, data = written([layer(tar + END)])
    assert root.size == len(data)
    told: list[tuple[Callable[[], object], object]] = [
        (lambda: root.read("/etc/passwd", 10), b"root:x:0:0"),
        (lambda: root.read("usr/etc/passwd", 10), b"root:x:0:0"),
        (lambda: root.read("/etc/passwd", 9), None),
        (lambda: root.read("/etc/group", 9), None),
        (lambda: root.read("/etc", 9), None),
        (lambda: root.read("/l", 9), None),
        (lambda: root.has("/usr/etc"), True),
        (lambda: root.has("/no"), False),
        (lambda: root.has("/l"), False),
        (lambda: root.is_directory("/usr/etc"), True),
        (lambda: root.is_directory("/usr/etc/passwd"), False),
        (lambda: root.has("../etc"), True),
    ]
    assert [ask() for ask, _ in told] == [answer for _, answer in told]
