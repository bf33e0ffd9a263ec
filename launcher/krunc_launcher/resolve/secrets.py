"""The secrets that a plan names, read at launch. They are in memory only.

A variable or a descriptor of the launcher may stand in a directory instead, as engines put it: that
of --secrets, else the credentials of systemd (docs/launch.md).
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why
from krunc_launcher.paths import absolute
from krunc_launcher.plan.secrets import shown
from krunc_launcher.plan.text import lies_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.text import Findings, Path

    # The secret of a verified item at a place of the plan; None after the findings were told why.
    Reader = Callable[[dict[str, Any], Path, Findings], str | None]


_MOST_BYTES = 65536
_CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5)


class Secrets:
    """The secrets of one launch; each is read once. VARIABLE tells one of the launcher's
    environment."""

    __slots__ = ("_directories", "_directory", "_read", "_variable")

    def __init__(self, variable: Callable[[str], str | None], directories: Directories) -> None:
        self._directories = directories
        self._read: dict[str, str] = {}
        self._variable = variable
        self._directory = directories.secrets or variable(_CREDENTIALS) or ""

    def value(self, item: dict[str, Any], where: Path, found: Findings) -> str | None:
        """Return the secret of a verified ITEM; None after FOUND was told why there is none."""
        name = shown(item)
        if name in self._read:
            return self._read[name]
        ((kind, given),) = item.items()
        try:
            text = self._text(kind, given)
        except OSError as error:
            said = why(error)
        except UnicodeDecodeError:
            said = "it is not UTF-8"
        else:
            if text is not None:
                self._read[name] = text
                return text
            beside = f", nor is there a file {plain(self._named(kind, given))}"
            what = f"the launcher's variable {given} is not set{beside if self._directory else ''}"
            found.append((where, f"{what}; set it for krunc launch"))
            return None
        found.append((where, f"the secret in {self._subject(kind, given)} cannot be read: {said}"))
        return None

    def origin(self, item: dict[str, Any]) -> str:
        """Tell where the secret of ITEM would be read from, without reading it."""
        ((kind, given),) = item.items()
        try:
            path = self._path(kind, given)
        except OSError as error:
            return f"{self._subject(kind, given)}, which cannot be read: {why(error)}"
        if path:
            return f"the file {plain(path)}"
        if kind == "from_fd":
            return f"file descriptor {given}"
        unset = ", which is not set" if self._variable(given) is None else ""
        return f"the launcher's variable {given}{unset}"

    def descriptor(self, item: dict[str, Any]) -> int | None:
        """Return the file descriptor that the secret of ITEM would be read from; None where it is
        read from elsewhere."""
        number: int | None = item.get("from_fd")
        try:
            return None if number is None or self._path("from_fd", number) else number
        except OSError:
            return None  # it cannot be read at all, which is told at its place

    def _subject(self, kind: str, given: Any) -> str:
        if kind == "from_file":
            return plain(given)
        return plain(self._named(kind, given)) if self._directory else f"file descriptor {given}"

    def _named(self, kind: str, given: Any) -> str:
        return system.join(self._directory, self._name(kind, given))

    @staticmethod
    def _name(kind: str, given: Any) -> str:
        """Return the name of a variable or a descriptor in the directory of secrets."""
        return f"fd-{given}" if kind == "from_fd" else str(given)

    def _path(self, kind: str, given: Any) -> str:
        """Return the path of the file that has the secret; empty where none has."""
        directories = self._directories
        if kind == "from_file":
            return absolute(given, directories)
        if not self._directory:
            return ""
        directory = directories.real(system.abspath(self._directory), True)
        path = system.join(directory, self._name(kind, given))
        try:
            directories.status(path, follow=False)
        except FileNotFoundError:
            if directories.secrets:
                directories.status(directory)  # who names it means one that is there
            return ""
        if directories.is_shared(directory):
            raise OSError("a guest of this run gets its directory; keep secrets elsewhere")
        # Kubernetes has links in it: NAME to ..data/NAME, ..data to the newest directory.
        found = directories.real(path, True)
        if not lies_in(found, [directory]):
            raise OSError("a link leads out of its directory")
        return found

    def _text(self, kind: str, given: Any) -> str | None:
        """Tell what the file holds, without the line break at its end, or the variable."""
        path = self._path(kind, given)
        variable = self._variable(given) if kind == "from_env" else None
        if kind == "from_env" and not path:
            return variable
        if not path:
            handle = given
            if not system.get_inheritable(handle):
                from errno import EBADF

                raise OSError(EBADF, system.strerror(EBADF))  # one of the launcher's own
        else:
            # A FIFO must not keep the launcher waiting, and one without a writer is not empty.
            handle = self._directories.open(path, system.O_RDONLY | system.O_NONBLOCK)
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
        text = data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        # Neither was named to krunc as the one that is meant.
        if variable not in (None, text) and not self._directories.secrets:
            raise OSError(
                "the launcher's variable of that name has another value; unset it, or choose the "
                "directory by --secrets"
            )
        return text
