"""The user of an image: a name or number of its config, as numbers, by the image's own passwd and
group.

The rules are those of OCI runtimes and of podman (github.com/moby/sys/user, GetExecUser): a group
that is named takes the place of the user's own, and then there are no supplementary groups; a
number that passwd does not have is taken as it is, a name is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from krunc_compiler.image.manifest import refused, shown
from krunc_compiler.image.run_config import User

# Linux has 32 bits of them, and the last means none.
MAX_ID = (1 << 32) - 2
MAX_GROUPS = 65_536  # NGROUPS_MAX, limits.h of Linux
# More is no passwd or group of any image.
MAX_FILE = 16 << 20
_MOST_NAME, _MOST_HOME = 255, 4_095


def user(said: str, passwd: bytes, group: bytes) -> User:
    """Return the user that the config SAID, by the files PASSWD and GROUP of the image; what an
    image does not have is empty. Raises Unusable."""
    name, colon, group_name = said.partition(":")
    if colon and not group_name:
        raise refused(f"config: User is {shown(said)}; USER or USER:GROUP is allowed")
    number = _number(name or "0")
    found = next(_users(passwd, name, number), None)
    if found is None:
        if number is None:
            raise refused(
                f"config: User is {shown(said)}, but the image's passwd has no {shown(name)}",
                "set entrypoint.user in the box",
            )
        found = _Row("", number, 0, "/")
    _bounded(found.uid, "user", found.name or name)
    gid, groups = found.gid, tuple[int, ...]()
    if group_name:
        gid = _group(group, group_name)
    elif found.name:
        groups = tuple(dict.fromkeys(_memberships(group, found.name)))[:MAX_GROUPS]
    for one in (gid, *groups):
        _bounded(one, "group", group_name or found.name)
    return User(_name(found.name), found.uid, gid, groups, _home(found.home))


def _name(name: str) -> str | None:
    return name if 0 < len(name) <= _MOST_NAME else None


def _home(path: str) -> str:
    """Return PATH where it is one that a program can start in; podman takes / for what is none."""
    is_path = path.startswith("/") and path.isprintable() and len(path.encode()) <= _MOST_HOME
    return path if is_path else "/"


class _Row(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


def _users(passwd: bytes, name: str, number: int | None) -> Iterator[_Row]:
    """Yield the rows of PASSWD for the user NAME, or with that NUMBER."""
    for row in _rows(passwd, 7):
        uid, gid = _number(row[2]), _number(row[3])
        if uid is None or gid is None:
            continue
        if (uid == number) if number is not None else (row[0] == name):
            yield _Row(row[0], uid, gid, row[5])


def _group(group: bytes, name: str) -> int:
    number = _number(name)
    for row in _rows(group, 4):
        gid = _number(row[2])
        if gid is not None and ((gid == number) if number is not None else (row[0] == name)):
            return gid
    if number is None:
        raise refused(
            f"config: User names the group {shown(name)}, which the image's group does not have",
            "set entrypoint.user in the box",
        )
    return number


def _memberships(group: bytes, name: str) -> Iterator[int]:
    for row in _rows(group, 4):
        gid = _number(row[2])
        if gid is not None and name in row[3].split(","):
            yield gid


def _rows(data: bytes, fields: int) -> Iterator[list[str]]:
    for line in data.split(b"\n"):
        text = line.decode("utf-8", "replace").strip()
        if not text or text.startswith("#"):
            continue
        row = text.split(":")
        yield [*row, *([""] * (fields - len(row)))]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _bounded(number: int, what: str, name: str) -> None:
    if number > MAX_ID:
        raise refused(f"config: the {what} {shown(name)} has the number {number}; most is {MAX_ID}")
