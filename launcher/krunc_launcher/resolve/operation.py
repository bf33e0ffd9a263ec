"""An operation of a plan with everything filled in: what its arguments are made of."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import DISKS, LIMITS, MEANT, OPENING
from krunc_launcher.plan.rows import ROWS, known
from krunc_launcher.plan.sequence import opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.paths import Directories


class Named:
    """A number that the header names; `c` is the name or, for flags, names joined with |."""

    __slots__ = ("c", "value")

    def __init__(self, c: str, value: int) -> None:
        self.c = c
        self.value = value


class Opened:
    """The descriptor that an open_file step will have."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Variable:
    """NAME=text for the guest. With `secret` set, which says where it comes from, text is never
    printed; it is empty in a dry run."""

    __slots__ = ("name", "secret", "text")

    def __init__(self, name: str, text: str, secret: str = "") -> None:
        self.name = name
        self.text = text
        self.secret = secret


class Content:
    """Bytes for libkrun. `shown` is what a reader sees of them; `path` is set for a file, one of
    DIRECTORIES."""

    __slots__ = ("_directories", "data", "path", "secret", "shown")

    def __init__(
        self,
        data: bytes | None,
        shown: str,
        path: str = "",
        secret: bool = False,
        directories: Directories | None = None,
    ) -> None:
        self.data = data
        self.shown = shown
        self.path = path
        self.secret = secret
        self._directories = directories

    def load(self) -> bytes:
        """Return the bytes; a file is read once. Raises OSError."""
        if self.data is None and self._directories is not None:
            self.data = read(self.path, self._directories)
        return self.data or b""


class Operation:
    """One operation, ready: a call with its arguments in the header's order (the context is
    None), a host step or an order of the stage with its, or a note on what libkrun does by
    itself."""

    __slots__ = ("_opens", "index", "kind", "name", "origin", "rule", "values", "warn")

    def __init__(
        self, index: int, kind: str, name: str, args: list[Any], origin: str, warn: bool
    ) -> None:
        rows = ROWS.get(kind)
        row = None if rows is None else rows.get(name) or known(kind, name)
        # Its row of the tables; what libkrun does by itself has no parameters.
        self.rule: dict[str, Any] = _NO_PARAMETERS if row is None else row
        self._opens: list[tuple[dict[str, Any], Any, str]] | None = None
        self.index = index
        self.kind = kind
        self.name = name
        self.values = args
        self.origin = origin
        self.warn = warn

    def argument(self, name: str) -> Any:
        """Return the value of the argument NAME; raises KeyError when it has no such argument."""
        for rule, value in zip(self.rule["params"], self.values, strict=True):
            if rule["name"] == name:
                return value
        raise KeyError(name)

    def opens(self) -> list[tuple[dict[str, Any], Any, str]]:
        """Return each argument that is a path to something that it opens: its rule, its value and
        how it is opened, by the words of the table. Many ask for it."""
        if self._opens is None:
            self._opens = []
            pairs = zip(self.rule["params"], self.values, strict=True)
            for rule, value in pairs if self.name in OPENING else ():
                if "opens" in rule and value is not None:
                    named = {name: self.argument(name) for name in rule.get("opens_if", ())}
                    self._opens.append((rule, value, opening(rule, named)))
        return self._opens


_NO_PARAMETERS: dict[str, Any] = {"params": ()}


def meant(done: list[Operation], meaning: str) -> Any:
    """Return the value of the first argument of DONE that means MEANING, a word of the table; None
    without one."""
    places = MEANT[meaning]
    for operation in done:
        if operation.name in places:
            return operation.argument(places[operation.name])
    return None


def made(done: list[Operation]) -> list[str]:
    """Return the files that DONE makes or empties."""
    return [
        path
        for operation in done
        if operation.name in OPENING
        for rule, path, how in operation.opens()
        if how == "make" and rule["kind"] == "host_path"
    ]


def has_disks(done: list[Operation]) -> bool:
    """Tell whether a guest of DONE gets a disk."""
    return any(each.name in DISKS for each in done)


def encoded(done: list[Operation]) -> bytes:
    """Return the orders in DONE as the stage reads them: strings that end in NUL, an order's name
    and then the value of each parameter; a list is the number of its items and each of them."""
    words: list[str] = []
    for operation in done:
        if operation.kind != "order":
            continue
        words.append(operation.name)
        for value in operation.values:
            if type(value) is list:
                words.append(str(len(value)))
                words += [
                    item if type(item) is str else f"{item.name}={item.text}" for item in value
                ]
            elif isinstance(value, Named):
                words.append(value.c)
            else:
                words.append("" if value is None else str(value))
    return system.fsencode("\0".join([*words, ""]))


def read(path: str, directories: Directories) -> bytes:
    """Return the bytes of a regular file; raises OSError."""
    most = LIMITS["content_bytes"]
    handle = directories.open(path, system.O_RDONLY | system.O_NONBLOCK)
    if not system.S_ISREG(system.fstat(handle).st_mode):
        system.close(handle)
        raise OSError(f"{path}: this is not a regular file")
    with open(handle, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"{path}: this has more than {most} bytes")
    return data
