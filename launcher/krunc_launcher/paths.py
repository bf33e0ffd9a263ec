"""The one place that opens and looks at paths of the host that a plan names.

Below a directory that a guest may write, a link can be of the guest's making: one that an earlier
run left there would lead the launcher, and libkrun behind it, to a file that no plan names. So none
is followed there, whichever way the path takes to that directory; elsewhere links are the host's
own.

Nothing of proc is opened, and no link of it is followed, however a path gets there: it shows what
processes hold, the launcher among them.
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher._rules import KINDS, NAMING
from krunc_launcher.errors import asked_by, plain
from krunc_launcher.plan.text import LAUNCH, RUNTIME, STORE, lies_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Identities = set[tuple[int, int]]

_LINUX = sys.platform == "linux"
_OPENAT2 = 437  # asm-generic/unistd.h, Linux 5.6
# RESOLVE_NO_SYMLINKS and RESOLVE_IN_ROOT of linux/openat2.h
NO_LINKS, IN_ROOT = 0x04, 0x10
_HERE = -100  # AT_FDCWD of linux/fcntl.h
_HOW = ffi.new("uint64_t[3]")  # struct open_how
_HOW_BYTES = ffi.cast("void *", ffi.sizeof(_HOW))
_EPERM, _EACCES, _ENOSYS, _ELOOP = 1, 13, 38, 40  # asm-generic/errno.h
_PROC = 0x9FA0  # PROC_SUPER_MAGIC of linux/magic.h
_MOST_LINKS = 40  # as the kernel, path_resolution(7)
LAUNCH_NAME = "launch-"
# To look at a file without reading it.
LOOK = system.O_PATH if sys.platform == "linux" else system.O_RDONLY | system.O_NONBLOCK
_LED = (
    "a link in a directory that a guest may write leads elsewhere; the guest can have made it: "
    "remove it, and keep this out of what guests write"
)

_RULES = KINDS["host_path"]
# What only krunc makes is looked at by who asks for it.
_OWN = (LAUNCH, STORE)


class Directories:
    """Where relative, runtime:, launch: and store: paths start, and SECRETS, the directory of
    --secrets; WRITTEN are the directories that the guest may write, `shared` all that it gets, and
    `others` what the other guests of this run may write, and what they get. `hashed` are records of
    files of the store that were compared with their names in this launch: where each goes, and its
    text."""

    __slots__ = (
        "base", "hashed", "launch", "others", "runtime", "secrets", "shared", "store", "written",
    )  # fmt: skip

    def __init__(
        self,
        base: str,
        runtime: str,
        written: Iterable[str] = (),
        store: str = "",
        secrets: str = "",
    ) -> None:
        self.base = base
        self.runtime = runtime
        # Of one launch alone, and not made before it: two of one plan have two.
        self.launch = system.join(runtime, f"{LAUNCH_NAME}{system.urandom(6).hex()}")
        self.written = list(written)
        self.store = store
        self.secrets = secrets
        self.shared = list(self.written)
        self.others: tuple[Identities, Identities] = (set(), set())
        self.hashed: list[tuple[str, str]] = []

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open PATH; raises OSError, also for a link that a guest can have made, and in proc."""
        handle = self._open(path, flags, mode)
        if _is_of_proc(handle):
            system.close(handle)
            raise OSError(_EACCES, _RULES["views_why"])
        return handle

    def _open(self, path: str, flags: int, mode: int) -> int:
        try:
            return without_links(path, flags, mode)
        except OSError as error:
            if error.errno not in (_ELOOP, _ENOSYS, _EPERM):
                raise
        found, _, _ = self._followed(path, not flags & system.O_NOFOLLOW)
        try:
            return without_links(found, flags, mode)
        except OSError as error:
            if error.errno not in (_ENOSYS, _EPERM):
                raise
        return system.open(found, flags | system.O_NOFOLLOW | system.O_CLOEXEC, mode)

    def status(self, path: str, follow: bool = True) -> system.stat_result:
        """Tell what stat tells of PATH, or lstat without FOLLOW; raises OSError."""
        handle = self.open(path, LOOK if follow else LOOK | system.O_NOFOLLOW)
        try:
            return system.fstat(handle)
        finally:
            system.close(handle)

    def is_directory(self, path: str) -> bool:
        """Tell whether PATH is a directory that can be reached."""
        try:
            return system.S_ISDIR(self.status(path).st_mode)
        except OSError:
            return False

    def real(self, path: str, last: bool = False) -> str:
        """Return PATH without links on the way to its last name, which is one only without LAST;
        raises OSError."""
        return self._followed(path, last)[0]

    def is_written(self, path: str, follow: bool = True) -> bool:
        """Tell whether a guest may have PATH lead to another file: by a name on the way to what it
        leads to, or without FOLLOW to its last name; raises OSError."""
        found, _, through = self._followed(path, follow)
        if any(through.values()):
            return True
        from krunc_launcher.mounts import elsewhere

        # A file can be mounted, too: whoever writes what is above it may replace it.
        pairs = [*elsewhere([*through, found])]
        shown = [other if one in through else system.dirname(other) for one, other in pairs]
        return bool(shown) and _lie_in(shown, set(map(_identity, self.written)), self.others[0])

    def is_written_by_own(self, directory: str) -> bool:
        """Tell whether the guest may write DIRECTORY, or one that it lies in; raises OSError."""
        return self._followed(directory, True, self.written, set())[1]

    def is_shared(self, directory: str) -> bool:
        """Tell whether a guest gets DIRECTORY, a path without links; raises OSError."""
        return self._followed(directory, True, self.shared, self.others[1])[1]

    def identities(self) -> tuple[Identities, Identities]:
        """Tell which directories the guest may write, and which it gets, whatever leads there."""
        return set(map(_identity, self.written)), set(map(_identity, self.shared))

    def _followed(
        self,
        path: str,
        last: bool,
        own: list[str] | None = None,
        others: Identities | None = None,
    ) -> tuple[str, bool, dict[str, bool]]:
        """Return PATH without its links, of which the last name is one only with LAST; whether it
        lies in one of the directories OWN and OTHERS, by default what guests may write; and of each
        directory that has a name on the way whether that does. What cannot be reached at its end is
        no error."""
        # Of others there may be thousands, which are looked at once for all plans of a run.
        guests = set(map(_identity, self.written if own is None else own))
        more = self.others[0] if others is None else others
        top = _identity("/")
        trail = [("", top in guests or top in more)]
        rest = path.split("/")[::-1]
        links, through = 0, dict[str, bool]()
        while rest:
            name = rest.pop()
            if name == "..":
                del trail[max(1, len(trail) - 1) :]
            if name in ("", ".", ".."):
                continue
            above, written = trail[-1]
            here = f"{above}/{name}"
            through[above or "/"] = written
            try:
                status = system.lstat(here)
            except OSError:
                # A guest may open what it has closed, and make what is missing.
                return "/".join((here, *rest[::-1])), written, through
            if system.S_ISLNK(status.st_mode) and (rest or last):
                links += 1
                if _proc_has(above or "/"):
                    raise OSError(_EACCES, _RULES["views_why"])
                if links > _MOST_LINKS:
                    raise OSError(_ELOOP, system.strerror(_ELOOP))
                if not written and (guests or more):
                    from krunc_launcher.mounts import elsewhere

                    shown = [other for _, other in elsewhere([above or "/"])]
                    written = _lie_in(shown, guests, more)
                if written:
                    raise OSError(_ELOOP, _LED)
                target = system.readlink(here)
                if target.startswith("/"):
                    del trail[1:]
                rest += target.split("/")[::-1]
            else:
                it = status.st_dev, status.st_ino
                trail.append((here, written or it in guests or it in more))
        return trail[-1][0] or "/", trail[-1][1], through


def without_links(path: str, flags: int, mode: int = 0) -> int:
    """Open PATH, which no link is part of; raises OSError."""
    if not _LINUX:
        raise OSError(_ENOSYS, system.strerror(_ENOSYS))
    found = openat2(_HERE, path, flags, NO_LINKS, mode)
    if found < 0:
        raise OSError(ffi.errno, system.strerror(ffi.errno))
    return found


def openat2(directory: int, path: str, flags: int, how: int, mode: int = 0) -> int:
    """Open PATH in the open DIRECTORY, HOW links may lead: a descriptor, or -1 and ffi.errno."""
    _HOW[0], _HOW[1], _HOW[2] = flags | system.O_CLOEXEC, mode, how
    at = ffi.cast("void *", directory)
    return int(libc.syscall(_OPENAT2, at, system.fsencode(path), _HOW, _HOW_BYTES, ffi.NULL))


def absolute(path: str, directories: Directories) -> str:
    """Return PATH from a plan as an absolute one; links are not followed."""
    if path.startswith(RUNTIME):
        return system.join(directories.runtime, path[len(RUNTIME) :])
    if path.startswith(LAUNCH):
        return system.join(directories.launch, path[len(LAUNCH) :])
    if path.startswith(STORE):
        return system.join(directories.store, f"{path[len(STORE) :].replace(':', '-')}.erofs")
    return system.normpath(system.join(directories.base, path))


def holds_devices(path: str) -> bool:
    """Tell whether PATH, by its text, is a device of the host or a directory that holds some."""
    if not path.startswith("/"):
        return False
    devices = lies_in(path, _RULES["devices"]) and not lies_in(path, _RULES["no_devices"])
    return devices or system.normpath(path).strip("/") == ""


def untold(rows: list[dict[str, Any]], directories: Directories) -> Iterator[str]:
    """Yield why devices of the host would be the guest's though no text of the plan's ROWS says so,
    and so no review: by a link, or by a relative path. Each path that a call opens has a step."""
    for row in rows:
        if row.get("step") not in NAMING:
            continue
        named = row["args"][NAMING[row["step"]]]
        if named.startswith(_OWN) or holds_devices(named):
            continue
        path = absolute(named, directories)
        try:
            real, mode = directories.real(path, True), directories.status(path).st_mode
        except OSError:
            continue  # what it is demanded for tells
        if holds_devices(real) or system.S_ISBLK(mode) or system.S_ISCHR(mode):
            what = f"leads to {plain(real)}" if real != path else "is a host device"
            yield (
                f"{plain(path)} {what}, which no review of this plan shows as a device: name it by "
                f"an absolute path in /dev, or / itself{asked_by(row['from'])}"
            )


def _is_of_proc(handle: int) -> bool:
    """Tell whether what is open as HANDLE is of the file system proc, wherever it is mounted."""
    if not _LINUX:
        return False
    told = ffi.new("uint64_t[16]")  # struct statfs has 120 bytes; the type comes first
    return bool(libc.fstatfs(handle, told) == 0 and told[0] == _PROC)


def _proc_has(directory: str) -> bool:
    try:
        handle = system.open(directory, LOOK | system.O_DIRECTORY | system.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_of_proc(handle)
    finally:
        system.close(handle)


def _lie_in(paths: Iterable[str], guests: Identities, more: Identities) -> bool:
    """Tell whether one of PATHS, which are there and have no link, is in one of GUESTS or MORE."""
    for path in paths:
        above = path
        while above:
            it = _identity(above)
            if it in guests or it in more:
                return True
            above = system.dirname(above) if above != "/" else ""
    return False


def _identity(path: str) -> tuple[int, int]:
    """Tell which directory PATH leads to, whatever it is called; (0, 0) where there is none."""
    try:
        status = system.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino
