"""Secrets of a plan: {"from_env": NAME}, {"from_file": PATH} or {"from_fd": NUMBER} in place of the
value of a variable. What they are is known from resolving on, in memory only."""

from __future__ import annotations

import os
import stat

from krunc_launcher.errors import plain
from krunc_launcher.plan import arguments as values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from krunc_launcher.plan.arguments import Findings, Path
    from krunc_launcher.resolve.resolve import Folders

    # The secret of a verified item at a place of the plan; None after the findings were told why.
    Reader = Callable[[dict[str, Any], Path, Findings], str | None]

FORMS = 'a text, {"from_env": NAME}, {"from_file": PATH} or {"from_fd": NUMBER}'
_MOST_BYTES = 65536
_MOST_DESCRIPTORS = 1048575


def check(item: dict[str, Any], where: Path, found: Findings) -> None:
    """Append to FOUND what is wrong with ITEM as the place of a secret."""
    kind = next(iter(item), "") if len(item) == 1 else ""
    given = item.get(kind)
    if kind == "from_env" and values.is_name(given):
        return
    if kind == "from_fd" and type(given) is int and 3 <= given <= _MOST_DESCRIPTORS:
        return
    if kind == "from_file":
        values.host_path(given, {}, (*where, kind), found)
        return
    found.append((where, f"allowed: {FORMS}"))


def shown(item: dict[str, Any]) -> str:
    """Where a secret comes from, for a reader."""
    ((kind, given),) = item.items()
    return f"<{kind} {given}>"


class Secrets:
    """The secrets of one launch; each is read once. ENVIRONMENT is the launcher's."""

    __slots__ = ("_environment", "_folders", "_read")

    def __init__(self, environment: Mapping[str, str], folders: Folders) -> None:
        self._environment = environment
        self._folders = folders
        self._read: dict[str, str] = {}

    def value(self, item: dict[str, Any], where: Path, found: Findings) -> str | None:
        """The secret of a verified ITEM; None after FOUND was told why there is none."""
        ((kind, given),) = item.items()
        if kind == "from_env":
            if given not in self._environment:
                what = f"the launcher's variable {given} is not set; set it for krunc launch"
                found.append((where, what))
                return None
            return self._environment[given]
        name = shown(item)
        if name not in self._read:
            try:
                self._read[name] = self._text(kind, given)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
            except UnicodeDecodeError:
                why = "it is not UTF-8"
            else:
                return self._read[name]
            what = f"descriptor {given}" if kind == "from_fd" else plain(str(given))
            found.append((where, f"the secret in {what} cannot be read: {why}"))
            return None
        return self._read[name]

    def _text(self, kind: str, given: Any) -> str:
        """What the file holds, without the line break at its end."""
        from krunc_launcher.resolve.resolve import absolute

        if kind == "from_fd":
            handle = given
            if not os.get_inheritable(handle):
                from errno import EBADF

                raise OSError(EBADF, os.strerror(EBADF))  # one of the launcher's own
        else:
            path = absolute(given, self._folders)
            # A FIFO must not keep the launcher waiting, and one without a writer is not empty.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise OSError("it is not a regular file; from_fd takes pipes")
        data = b""
        try:
            while len(data) <= _MOST_BYTES and (more := os.read(handle, _MOST_BYTES + 1)):
                data += more
        finally:
            os.close(handle)
        if len(data) > _MOST_BYTES:
            raise OSError(f"it has more than {_MOST_BYTES} bytes")
        return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
