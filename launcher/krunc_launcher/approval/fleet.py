"""Whether a plan is one of a fleet whose digest was approved, by the list beside it.

docs/review.md has the form, which the compiler's krunc digest --fleet writes. Nothing of the list
is believed before its digest is right: the head's is the fleet's, and a piece's stands in the head.
So of a long list a launch reads its head and one piece.
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import KINDS, PLAN
from krunc_launcher.approval.digest import digest, own_sha256
from krunc_launcher.errors import LaunchError, plain, quoted, why
from krunc_launcher.plan.text import fits
from krunc_launcher.text.reading import is_stream, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

_MARK = b"krunc fleet 1\n"
# The head of a list of a million plans, and a piece of the longest names.
_MOST_BYTES = 1 << 20
_UNFIT = "it is not the list of that fleet: write it again with krunc digest --fleet"


def require_listed(plan: dict[str, Any], path: str, approved: str, listing: str) -> None:
    """Raise LaunchError unless the PLAN of the file PATH stands under its name in the file LISTING,
    which is that of the fleet with the digest APPROVED."""
    if not fits(approved, KINDS["digest"]):
        raise LaunchError(
            f"--digests is the list of a fleet, and {quoted(approved[:80])} is not a digest "
            "of one; krunc digest --fleet prints it"
        )
    name = plan["box"] if path == "-" or is_stream(path) else _name(path)
    try:
        with open(opened(listing), "rb") as file:
            listed = _listed(file, approved, name.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError) as error:
        said = why(error) if isinstance(error, OSError) else str(error)
        raise LaunchError(f"--digests: {plain(listing)} cannot be used: {said}") from None
    found = digest(plan)
    if listed is None:
        raise LaunchError(
            f"the fleet that was approved has no plan called {plain(name)}",
            "launch it under the name that it was approved by",
        )
    if listed != found.encode():
        raise LaunchError(
            f"the plan's digest is {found}, and what was approved as {plain(name)} is another plan",
            "review it (krunc show, krunc diff) and approve the fleet with it, or launch the plan "
            "that was approved",
        )


def _name(path: str) -> str:
    return system.basename(path).removesuffix(PLAN["ending"]).removesuffix(".json")


def _listed(file: BinaryIO, approved: str, name: bytes) -> bytes | None:
    """Return the digest under which the list in FILE has NAME; None when it has no such plan.
    Raises ValueError when it is no list of the fleet APPROVED."""
    head = _head(file)
    if not head.startswith(_MARK) or _digest(head) != approved.encode():
        raise ValueError(_UNFIT)
    at = len(head) + 1
    found = None
    for line in head[len(_MARK) :].removesuffix(b"\n").split(b"\n"):
        fields = line.split(b"  ", 2)
        if len(fields) != 3 or not fields[1].isdigit() or len(fields[1]) > 7:
            raise ValueError(_UNFIT)
        if fields[2] > name:
            break
        found = (fields[0], at, int(fields[1]))
        at += found[2]
    if found is None:
        return None
    known, at, size = found
    if size > _MOST_BYTES:
        raise ValueError(_UNFIT)
    file.seek(at)
    piece = file.read(size)
    if _digest(piece) != known:
        raise ValueError(_UNFIT)
    for line in piece.split(b"\n"):
        listed, _, called = line.partition(b"  ")
        if called == name:
            return listed
    return None


def _head(file: BinaryIO) -> bytes:
    """Read the head, up to the empty line behind it."""
    lines: list[bytes] = []
    left = _MOST_BYTES
    while left > 0:
        line = file.readline(left)
        if line in (b"\n", b""):
            break
        lines.append(line)
        left -= len(line)
    return b"".join(lines)


def _digest(data: bytes) -> bytes:
    return f"sha256:{own_sha256(data).hexdigest()}".encode()
