"""Places of a host that two VMs use and one of them writes: the same, or one inside the other.

A tree of names, so that each path costs what it is long, however many plans came before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from krunc_compiler.emit.host_paths import HostPath
from krunc_compiler.files.hostpath import normal

# What two VMs may write is theirs, whatever it is for. Of these two it is wrong as well that one
# reads what the other writes: a file system changes under the guest that has it mounted.
_MOUNTED = ("root", "disk")
_WRITTEN = ("root", "share", "disk", "file", "made")


class Claim(NamedTuple):
    """A plan that uses a place: its NAME, the path as it is written, and whether that is a disk."""

    name: str
    path: str
    is_disk: bool


class _Claims(NamedTuple):
    """The first plan that writes to a place, and the first that has it mounted and reads it."""

    writer: Claim | None = None
    reader: Claim | None = None

    def against(self, writes: bool, is_mounted: bool) -> Claim | None:
        """Return the plan that cannot have the place together with one that does this."""
        if self.writer is not None and (writes or is_mounted):
            return self.writer
        return self.reader if writes else None

    def joined(self, claim: Claim, writes: bool) -> _Claims:
        """Return these claims and one more."""
        if writes:
            return self if self.writer is not None else self._replace(writer=claim)
        return self if self.reader is not None else self._replace(reader=claim)


_NONE = _Claims()


class _Node:
    """A name of a path: what claims it, or something below it, and the names below it."""

    __slots__ = ("below", "here", "names")

    def __init__(self) -> None:
        self.here = self.below = _NONE
        self.names: dict[str, _Node] = {}


class Places:
    """The places that the plans of one run use."""

    def __init__(self) -> None:
        self._top = _Node()

    def taken(self, name: str, paths: tuple[HostPath, ...]) -> Iterator[tuple[HostPath, Claim]]:
        """Yield those of PATHS, of the plan NAME, that another plan has already, and its claim.
        Then they are of this plan too."""
        used = [(path, path.access != "read") for path in paths if _is_place(path)]
        for path, writes in used:
            other = self._other(normal(path.path), writes, path.use in _MOUNTED)
            if other is not None:
                yield path, other
        for path, writes in used:
            claim = Claim(name, path.path, path.use == "disk")
            self._add(normal(path.path), claim, writes)

    def _other(self, path: str, writes: bool, is_mounted: bool) -> Claim | None:
        node = self._top
        for part in _parts(path):
            if (above := node.here.against(writes, is_mounted)) is not None:
                return above
            if part not in node.names:
                return None
            node = node.names[part]
        return node.here.against(writes, is_mounted) or node.below.against(writes, is_mounted)

    def _add(self, path: str, claim: Claim, writes: bool) -> None:
        node = self._top
        for part in _parts(path):
            node.below = node.below.joined(claim, writes)
            node = node.names.setdefault(part, _Node())
        node.here = node.here.joined(claim, writes)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _is_place(path: HostPath) -> bool:
    """Tell whether a path is one that a VM keeps to itself when it writes there."""
    if path.path.startswith("/dev/") and not path.path.startswith("/dev/shm/"):
        return path.use == "disk"
    return path.use in _MOUNTED or (path.use in _WRITTEN and path.access != "read")
