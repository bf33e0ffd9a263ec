"""One plan of a fleet whose digest was approved: the list beside it is a stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main as compiler
from krunc_compiler.plan.fleet_digest import MARK, fleet_list
from krunc_launcher.__main__ import main as launcher
from krunc_launcher.approval.digest import digest

BOX = """\
krunc: 1
name: web-{{ n }}
matrix: {n: {from: 1, to: 3}}
rootfs: {path: ./root}
network: {mode: none}
entrypoint: {executable: /bin/x, args: ["n-{{ n }}"]}
"""


@pytest.fixture
def fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, Path]:
    """The digest of a fleet, and its directory with its list and plans."""
    (tmp_path / "fleet.yaml").write_text(BOX)
    assert compiler(["compile", str(tmp_path)]) == 0
    capsys.readouterr()
    found = str(tmp_path / "fleet.list")
    assert compiler(["digest", "--fleet", str(tmp_path), "-o", found]) == 0
    return capsys.readouterr().out.strip(), tmp_path


def dry_run(approved: str, listing: Path, plan: Path) -> int:
    """The exit status of a dry run with the digest APPROVED."""
    options = ["--dry-run", "--require-digest", approved, "--digests", str(listing)]
    return launcher([*options, str(plan)])


def test_each_plan_is_taken_under_its_name(fleet: tuple[str, Path]) -> None:
    approved, place = fleet
    for n in (1, 2, 3):
        assert dry_run(approved, place / "fleet.list", place / f"web-{n}.plan.json") == 0


def test_another_plan_under_a_name_is_refused(
    fleet: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    approved, place = fleet
    (place / "web-1.plan.json").write_bytes((place / "web-2.plan.json").read_bytes())
    assert dry_run(approved, place / "fleet.list", place / "web-1.plan.json") == 1
    assert "what was approved as web-1 is another plan" in capsys.readouterr().err
    (place / "new.plan.json").write_bytes((place / "web-2.plan.json").read_bytes())
    assert dry_run(approved, place / "fleet.list", place / "new.plan.json") == 1
    assert "no plan called new" in capsys.readouterr().err


def test_the_digest_is_of_the_fleet(
    fleet: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    approved, place = fleet
    one = digest(json.loads((place / "web-1.plan.json").read_text()))
    assert dry_run(one, place / "fleet.list", place / "web-1.plan.json") == 1
    assert dry_run("yes", place / "fleet.list", place / "web-1.plan.json") == 1
    assert "not a digest" in capsys.readouterr().err
    assert dry_run(approved, place / "missing", place / "web-1.plan.json") == 1
    assert launcher(["--dry-run", "--digests", "x", str(place / "web-1.plan.json")]) == 2


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "its head": lambda data: data[: data.index(b"\n\n") + 2],
    "another size": lambda data: data.replace(b"  ", b"  9", 1),
    "another name": lambda data: data.replace(b"web-1", b"web-9"),
    "the lines turned": lambda data: data.replace(b"web-1\n", b"web-2\n", 2),
    "random bytes": lambda data: bytes(range(256)) * 16,
    "zeros": lambda data: bytes(1 << 21),
    "one long line": lambda data: b"a" * (1 << 21),
    "another mark": lambda data: data.replace(b"fleet 1", b"fleet 2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_list_that_was_changed_is_refused(
    what: str, fleet: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    approved, place = fleet
    listing = place / "fleet.list"
    listing.write_bytes(CHANGES[what](listing.read_bytes()))
    assert dry_run(approved, listing, place / "web-1.plan.json") == 1
    assert "krunc digest --fleet" in capsys.readouterr().err


@pytest.mark.parametrize("place", range(0, 330, 7))
def test_no_byte_of_the_list_can_change(place: int, fleet: tuple[str, Path]) -> None:
    approved, home = fleet
    listing = home / "fleet.list"
    data = bytearray(listing.read_bytes())
    data[place] ^= 1
    listing.write_bytes(data)
    assert all(dry_run(approved, listing, home / f"web-{n}.plan.json") in (0, 1) for n in (1, 2, 3))
    assert 1 in {dry_run(approved, listing, home / f"web-{n}.plan.json") for n in (1, 2, 3)}


def test_of_a_long_list_a_piece_is_read(tmp_path: Path, fleet: tuple[str, Path]) -> None:
    plan = fleet[1] / "web-1.plan.json"
    own = digest(json.loads(plan.read_text()))
    others = [(f"other-{n}", "sha256:" + f"{n:064x}") for n in range(10_000)]
    listed = fleet_list([*others, ("web-1", own)])
    assert listed is not None
    approved, text = listed
    assert text.startswith(MARK)
    assert text.index("\n\n") < 5_000
    listing = tmp_path / "long.list"
    listing.write_text(text)
    assert dry_run(approved, listing, plan) == 0
    # What is in other pieces is no matter of this plan.
    listing.write_text(text.replace("other-77\n", "other-7x\n"))
    assert dry_run(approved, listing, plan) == 0


@pytest.mark.parametrize("sign", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_a_name_of_the_list_ends_where_its_line_does(
    sign: str, fleet: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a list that another tool than krunc has written, names may be anything."""
    plan = fleet[1] / "web-1.plan.json"
    own = digest(json.loads(plan.read_text()))
    piece = f"{own}  a{sign}{own}  web-1\n".encode()
    head = f"{MARK}\nsha256:{sha256(piece).hexdigest()}  {len(piece)}  a\n".encode()
    approved = f"sha256:{sha256(head).hexdigest()}"
    listing = fleet[1] / "other.list"
    listing.write_bytes(head + b"\n" + piece)
    assert dry_run(approved, listing, plan) == 1
    assert "no plan called web-1" in capsys.readouterr().err
