"""One digest for many plans, and the list by which a launcher believes one of them.

The list has a head and lines. The lines are the plans', `DIGEST  NAME`, sorted by the bytes of the
names. The head tells of each piece of 256 lines its digest, its size, and its first name. The
fleet's digest is that of the head, so who knows it believes the head, and by the head the one piece
that a plan's name is in: of 10,000 plans a launch reads 30 kB, not all. docs/review.md says the
same; the launcher's approval/fleet.py reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from krunc_schema import load

from krunc_compiler.files.sha256 import hexdigest

ENDING: str = load("plan")["ending"]
MARK = "krunc fleet 1"
PIECE = 256


def name_in_fleet(path: str) -> str:
    """Return the name under which the plan PATH is listed: as krunc launch calls its VM."""
    return path.rpartition("/")[2].removesuffix(ENDING).removesuffix(".json")


def is_listable(name: str) -> bool:
    """Tell whether NAME can stand in a line, and krunc launch can call a VM so."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and name == name.strip() and name.isprintable()


def fleet_list(plans: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the digest of PLANS, each a path and a digest, and the list; None when two have one
    name, or one has a name that cannot be listed."""
    lines = [(name_in_fleet(path), digest) for path, digest in plans]
    if len({name for name, _ in lines}) < len(lines):
        return None
    if not all(is_listable(name) for name, _ in lines):
        return None
    lines.sort(key=lambda line: line[0].encode("utf-8"))
    pieces = [_piece(lines[at : at + PIECE]) for at in range(0, len(lines), PIECE)]
    head = "".join([f"{MARK}\n", *(line for line, _ in pieces)])
    body = "".join(text for _, text in pieces)
    return "sha256:" + hexdigest(head.encode("utf-8")), f"{head}\n{body}"


def fleet_digest(plans: Iterable[tuple[str, str]]) -> str | None:
    """Return the digest of PLANS, each a path and a digest; None where there can be none."""
    found = fleet_list(plans)
    return found[0] if found else None


def _piece(lines: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the line of the head about a piece of LINES, and their text."""
    text = "".join(f"{digest}  {name}\n" for name, digest in lines)
    data = text.encode("utf-8")
    return f"sha256:{hexdigest(data)}  {len(data)}  {lines[0][0]}\n", text
