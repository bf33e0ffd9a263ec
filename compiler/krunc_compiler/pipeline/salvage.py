"""The well-formed part of a box: so that a wrong key hides no other mistake."""

from typing import Any, NamedTuple

from krunc_compiler.findings.finding import Finding, Path

# Each round cuts a level higher at the latest.
_ROUNDS = 12
# Stand-ins for what every box must have; no finding about them is kept.
_STAND_INS: dict[str, Any] = {
    "krunc": 1,
    "name": "box",
    "rootfs": {"path": "."},
    "network": {"mode": "tsi"},
    "entrypoint": {"executable": "/"},
}


class Pieces(NamedTuple):
    """What is wrong with a value, and the places whose expression failed."""

    findings: list[Finding]
    broken: frozenset[Path]


def cut(value: Any, pieces: Pieces, schema: dict[str, Any]) -> tuple[Any, set[Path]] | None:
    """Return VALUE without what is wrong with it, and the places that were removed.

    A list ends before its first wrong item, so that the others keep their numbers. None when
    nothing sensible is left.
    """
    # A box that is right is not cut.
    from copy import deepcopy

    from krunc_compiler.shape.checking import check

    value = deepcopy(value)
    removed: set[Path] = set()
    wrong = {found.path for found in pieces.findings} | pieces.broken
    for _ in range(_ROUNDS):
        for path in sorted(wrong, key=len, reverse=True):
            _remove(value, path, removed)
        for key, stand_in in _STAND_INS.items():
            if key not in value:
                value[key] = deepcopy(stand_in)
                removed.add((key,))
        left = check(value, schema)
        if not left:
            return value, removed
        # What cutting made wrong (a map without a key that it needs) goes as a whole.
        wrong = {found.path for found in left}
    return None


def _remove(value: Any, path: Path, removed: set[Path]) -> None:
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            if last:
                del value[part:]
                removed.add(path[:-1])
                return
        elif not isinstance(value, dict) or part not in value:
            return
        elif last:
            del value[part]
            removed.add(path)
            return
        value = value[part]


def holds(finding: Finding, removed: set[Path]) -> bool:
    """Tell whether FINDING, about the part that is left, is true of the whole box."""
    from krunc_compiler.findings import catalogue  # most boxes have no finding

    entry = catalogue.entry(finding.code)
    if entry is None or not entry.holds_in_part or not finding.path:
        return False
    return not any(
        finding.path[: len(path)] == path or path[: len(finding.path)] == finding.path
        for path in removed
        if path and not _is_list_above(path, finding.path)
    )


def _is_list_above(path: Path, place: Path) -> bool:
    """Tell whether PLACE is an item of the list at PATH, which lost its end only."""
    return (
        len(place) > len(path) and place[: len(path)] == path and isinstance(place[len(path)], int)
    )
