"""The secrets that a plan names, read at launch. They are in memory only."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why
from krunc_launcher.paths import absolute
from krunc_launcher.plan.secrets import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.paths import Folders
    from krunc_launcher.plan.text import Findings, Path

    # The secret of a verified item at a place of the plan; None after the findings were told why.
    Reader = Callable[[dict[str, Any], Path, Findings], str | None]


_MOST_BYTES = 65536


class Secrets:
    """The secrets of one launch; each is read once. VARIABLE tells one of the launcher's
    environment."""

    __slots__ = ("_folders", "_read", "_variable")

    def __init__(self, variable: Callable[[str], str | None], folders: Folders) -> None:
        self._folders = folders
        self._read: dict[str, str] = {}
        self._variable = variable

    def value(self, item: dict[str, Any], where: Path, found: Findings) -> str | None:
        """Return the secret of a verified ITEM; None after FOUND was told why there is none."""
        ((kind, given),) = item.items()
        if kind == "from_env":
            text: str | None = self._variable(given)
            if text is None:
                what = f"the launcher's variable {given} is not set; set it for krunc launch"
                found.append((where, what))
                return None
            return text
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
            if not system.get_inheritable(handle):
                from errno import EBADF

                raise OSError(EBADF, system.strerror(EBADF))  # one of the launcher's own
        else:
            path = absolute(given, self._folders)
            # A FIFO must not keep the launcher waiting, and one without a writer is not empty.
            handle = self._folders.open(path, system.O_RDONLY | system.O_NONBLOCK)
            if not system.S_ISREG(system.fstat(handle).st_mode):
                system.close(handle)
                raise OSError("it is not a regular file; from_fd takes pipes")
        data = b""
        try:
            while len(data) <= _MOST_BYTES and (more := system.read(handle, _MOST_BYTES + 1)):
                data += more
        finally:
            system.close(handle)
        if len(data) > _MOST_BYTES:
            raise OSError(f"it has more than {_MOST_BYTES} bytes")
        return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
