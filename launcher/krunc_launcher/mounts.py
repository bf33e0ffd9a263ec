"""By which other paths a directory of the host can be reached: a bind mount shows a part of a file
system in a second place, and what a guest may write in the one is the same in the other.

Few launches ask: for a path with a link in it, and for what must not be replaced.
"""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INFO = "/proc/self/mountinfo"
# Its columns, proc(5): the file system, which directory of it is shown, and where.
_DEVICE, _ROOT, _POINT = 2, 3, 4
_ESCAPED = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def elsewhere(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of PATHS, which are whole and have no link, with each other path of the same."""
    mounts = _mounts()
    for asked in paths:
        path = asked.rstrip("/")
        mine = _identity(path)
        # The file system of a path is that of the mount which is the last one on its way. Which of
        # several this is, and what another one hides, the files themselves tell.
        for device, root, point in mounts if mine else ():
            if not _is_in(path, point):
                continue
            place = root + path[len(point) :]
            for other, top, at in mounts:
                if other != device or not _is_in(place, top):
                    continue
                found = at + place[len(top) :]
                if found != path and _identity(found) == mine:
                    yield asked, found or "/"


def _mounts() -> list[tuple[str, str, str]]:
    """Return the mounts of this process: the file system, and without the slash of "/" the
    directory of it and where it is shown."""
    try:
        with open(_INFO, encoding=system.ENCODING, errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return []  # without proc nobody knows; the launch is refused for that
    return [(row[_DEVICE], _plain(row[_ROOT]), _plain(row[_POINT])) for row in rows]


def _plain(path: str) -> str:
    for escaped, character in _ESCAPED if "\\" in path else ():
        path = path.replace(escaped, character)
    return path.rstrip("/")


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = system.lstat(path or "/")
    except OSError:
        return None
    return status.st_dev, status.st_ino
