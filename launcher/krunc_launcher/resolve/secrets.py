"""The secrets that a plan names, read at launch. They are in memory only."""

from __future__ import annotations

import os
import stat

from krunc_launcher.errors import plain, why
from krunc_launcher.paths import absolute
from krunc_launcher.plan.secrets import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from krunc_launcher.paths import Folders
    from krunc_launcher.plan.text import Findings, Path

    # The secret of a verified item at a place of the plan; None after the findings were told why.
    Reader = Callable[[dict[str, Any], Path, Findings], str | None]


_MOST_BYTES = 65536


class Secrets:
    """The secrets of one launch; each is read once. ENVIRONMENT is the launcher's."""

    __slots__ = ("_environment", "_folders", "_read")

    def __init__(self, environment: Mapping[str, str], folders: Folders) -> None:
        self._environment = environment
        self._folders = folders
        self._read: dict[str, str] = {}

    def value(self, item: dict[str, Any], where: Path, found: Findings) -> str | None:
        """Return the secret of a verified ITEM; None after FOUND was told why there is none."""
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
                said = why(error)
            except UnicodeDecodeError:
                said = "it is not UTF-8"
            else:
                return self._read[name]
            what = f"descriptor {given}" if kind == "from_fd" else plain(str(given))
            found.append((where, f"the secret in {what} cannot be read: {said}"))
            return None
        return self._read[name]

    def _text(self, kind: str, given: Any) -> str:
        """Tell what the file holds, without the line break at its end."""
        if kind == "from_fd":
            handle = given
            if not os.get_inheritable(handle):
                from errno import EBADF

                raise OSError(EBADF, os.strerror(EBADF))  # one of the launcher's own
        else:
            path = absolute(given, self._folders)
            # A FIFO must not keep the launcher waiting, and one without a writer is not empty.
            handle = self._folders.open(path, os.O_RDONLY | os.O_NONBLOCK)
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
