"""Where the files of strangers may lead: a link, or a name in a box, can lead anywhere."""

import os
from collections.abc import Iterable, Iterator
from stat import S_ISLNK
from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Source, reject


class Within(NamedTuple):
    """The real paths of the directories and single files that may be read; None: all."""

    places: tuple[str, ...] | None = None

    def admits(self, path: str) -> bool:
        """Tell whether the file PATH may be read, wherever its name or links lead."""
        if self.places is None or path == "-":
            return True
        try:
            # What comes after the `..` of a link is elsewhere than its text says.
            text = os.path.abspath(path) if ".." not in path else ""
            for place in self.places:
                if is_in(text, place) and not _links(text, place):
                    return True  # as nearly all are, and there is nothing to resolve
            real = os.path.realpath(path)
        except ValueError:
            return True  # no file can have such a name, which is told when it is opened
        return any(is_in(real, place) for place in self.places)

    def admit(self, path: str) -> None:
        """Raise Rejected when PATH may not be read."""
        if not self.admits(path):
            finding = Finding(
                "KR011",
                "the file is outside of the repository, or of the directory that is checked, "
                "and is not read",
                hint="move it there, or allow its directory: --allow-outside DIR",
            )
            raise reject(Source(path, "", {}), [finding])


ANYWHERE = Within()


def around(paths: Iterable[str], files: Iterable[str], allowed: Iterable[str]) -> Within:
    """Return the repositories of PATHS (without one: the working directory, or that of the path),
    FILES as far as they do not lead out of their own, and the directories ALLOWED."""
    free = tuple(map(os.path.realpath, allowed))
    places = [*free, *(os.path.realpath(_top(path) or _home(path)) for path in paths)]
    for path in files:
        real, home = os.path.realpath(path), _top(path)
        if home is None or is_in(real, os.path.realpath(home)):
            places.append(real)
    return Within(tuple(dict.fromkeys(places)))


def repository(path: str) -> str | None:
    """Return the top of the repository in which the name PATH stands.

    A directory that is a link out of a repository, or of the working directory, to another one is
    still of the first.
    """
    here = os.getcwd()
    found: str | None = None
    for directory in _upwards(os.path.abspath(path)):
        is_top = os.path.exists(os.path.join(directory, ".git"))
        if found is None:
            found = directory if is_top else None
        elif (is_top or directory == here) and not is_in(
            os.path.realpath(found), os.path.realpath(directory)
        ):
            found = directory
    return found


def _top(path: str) -> str | None:
    """Return the repository of PATH, else the working directory when it stands in that."""
    here = os.getcwd()
    return repository(path) or (here if here in _upwards(os.path.abspath(path)) else None)


def _home(path: str) -> str:
    return path if os.path.isdir(path) else os.path.dirname(path) or "."


def _upwards(path: str) -> Iterator[str]:
    while True:
        yield path
        if path == (path := os.path.dirname(path)):
            return


def _links(text: str, place: str) -> bool:
    """Tell whether PLACE, or anything from there to TEXT, a path in it, is a link."""
    while True:
        # By hand: os.path's functions take twice as long, for each directory of each file.
        try:
            if S_ISLNK(os.lstat(text).st_mode):
                return True
        except OSError:
            pass  # what is not there is none
        if len(text) <= len(place):
            return False
        text = text.rpartition("/")[0] or "/"


def is_in(real: str, place: str) -> bool:
    """Tell whether REAL is PLACE or in it; what git keeps there for itself, tokens among it, is
    not."""
    if real == place:
        return True
    start = place.rstrip("/") + "/"
    return real.startswith(start) and ".git" not in real[len(start) :].lower().split("/")
