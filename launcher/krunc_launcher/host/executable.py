"""Whether a file of the guest's root can be started there, as far as it can be told before.

The root may be of a guest's making: links lead where they lead for the guest, files are looked at
before they are read, and of each a few bytes are.
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._krun import ffi
from krunc_launcher.errors import plain
from krunc_launcher.paths import IN_ROOT, NO_LINKS, openat2

_ENOENT, _ENOTDIR, _ELOOP = 2, 20, 40  # asm-generic/errno.h
_MOST_LINKS = 40  # as the kernel, path_resolution(7)
_MOST_SCRIPTS = 5  # that interpret each other, execve(2)
_LINE = 256  # BINPRM_BUF_SIZE of linux/binfmts.h
# elf(5), for files of 32 bits and of 64: where the header has the place of the program headers,
# their size and number; how long one is, where it has its segment's place and size; and how many
# bytes a place has.
_FORMS = {1: (28, 42, 44, 32, 4, 16, 4), 2: (32, 54, 56, 56, 8, 32, 8)}
_ENTRIES = 128  # that are looked at
_INTERPRETER = b"\3\0\0\0"
_MOST_PATH = 4096
_UNTOLD = "it lies below what is mounted, or is out of the launcher's reach"
# linux/elf-em.h, and as uname(2) has those that libkrun runs on; a guest may run the 32 bits, too.
_MACHINES = {
    3: "i386", 8: "mips", 20: "powerpc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64",
    183: "aarch64", 243: "riscv64", 258: "loongarch64",
}  # fmt: skip
# Each with the class of its files.
_RUNS = {"x86_64": {62: 2, 3: 1}, "aarch64": {183: 2, 40: 1}}


class Root:
    """A directory that is a guest's root, open as HANDLE, as the guest sees it but for what lies at
    or below the paths HIDDEN."""

    __slots__ = ("_handle", "_hidden")

    def __init__(self, handle: int, hidden: set[str]) -> None:
        self._handle = handle
        self._hidden = hidden

    def why_not(self, path: str, search: list[str]) -> str:
        """Tell why the program PATH, which may be a name for the directories SEARCH, cannot be
        started; empty where it can. Raises OSError where that cannot be told."""
        if "/" in path:
            return self._why_not(path, 0)
        found = []
        for directory in search:
            if not directory.startswith("/"):
                raise OSError(_UNTOLD)
            if self._real(f"{directory}/{path}")[0]:
                why = self._why_not(f"{directory}/{path}", 0)
                if not why:
                    return ""
                found.append(why)
        return (
            found[0]
            if found
            else f"{plain(path)} is in no directory of PATH, {plain(':'.join(search))}"
        )

    def mode(self, path: str) -> int:
        """Return the mode of what is at the absolute PATH, at the end of links; 0 for nothing.
        Raises OSError where that cannot be told."""
        return self._real(path)[1]

    def is_taken(self, path: str) -> bool:
        """Tell whether something is at the absolute PATH, or a link or a file is on the way."""
        try:
            self._look(path, NO_LINKS)
        except FileNotFoundError as error:
            return error.errno == _ENOTDIR
        except OSError:
            pass
        return True

    def _why_not(self, path: str, scripts: int) -> str:
        real, why = self._file(path)
        if why:
            return why
        head = self._read(real, _LINE, 0)
        if head.startswith(b"#!"):
            return self._script(path, head, scripts)
        return self._elf(path, real, head) if head.startswith(b"\x7fELF") else ""

    def _file(self, path: str) -> tuple[str, str]:
        """Return PATH without links, and why nobody can execute what is there."""
        real, mode = self._real(path)
        if not real:
            return "", f"{plain(path)} is not there{self._astray(path)}"
        if system.S_ISDIR(mode):
            return "", f"{plain(path)} is a directory"
        if not system.S_ISREG(mode):
            return "", f"{plain(path)} is not a file"
        if not mode & 0o111:
            return "", f"{plain(path)} cannot be executed by anybody (chmod +x)"
        return real, ""

    def _astray(self, path: str) -> str:
        """Tell which link on the way to PATH, where nothing is, is the reason, if one is."""
        real = ""
        for name in filter(None, path.split("/")):
            here = f"{real}/{name}"
            try:
                mode, target = self._look(here, 0)
                real = self._real(here)[0]
            except OSError:
                break
            if not real and system.S_ISLNK(mode):
                return f": {plain(here)} is a link to {plain(target)}, behind which nothing is"
        return ""

    def _script(self, path: str, head: bytes, scripts: int) -> str:
        line, end, _ = head[2:].partition(b"\n")
        words = line.replace(b"\t", b" ").lstrip(b" ").split(b" ")
        # Of a name that the first bytes cut off Linux takes the file for no script.
        cut = not end and len(words) == 1 and len(head) == _LINE
        interpreter = system.fsdecode(words[0].partition(b"\0")[0])
        if not interpreter.startswith("/") or cut or scripts == _MOST_SCRIPTS or len(head) < 4:
            raise OSError(_UNTOLD)
        why = self._why_not(interpreter, scripts + 1)
        return (
            f"{plain(path)} is a script whose interpreter cannot be started: {why}" if why else ""
        )

    def _elf(self, path: str, real: str, head: bytes) -> str:
        here = system.uname().machine
        machine, form = _machine(head)
        if machine < 0 or here not in _RUNS:
            raise OSError(_UNTOLD)
        if machine not in _RUNS[here]:
            return f"{plain(path)} is a program for {_named(machine)}; the VM's processor is {here}"
        loader = self._interpreter(real, head, form) if _RUNS[here][machine] == form else ""
        if not loader.startswith("/"):
            return ""
        found, why = self._file(loader)
        needs = f"{plain(path)} needs the loader {plain(loader)}, which "
        if not found:
            return needs + why.removeprefix(f"{plain(loader)} ")
        # linux/fs/binfmt_elf.c: only a program of the same machine is a loader.
        loads, _ = _machine(self._read(found, _LINE, 0))
        if loads < 0:
            return f"{needs}is not a program"
        if loads != machine:
            return f"{needs}is for {_named(loads)}, and not for {_named(machine)}"
        return ""

    def _interpreter(self, real: str, head: bytes, form: int) -> str:
        """Return the loader that the program REAL names; empty where it names none."""
        places, sizes, counts, entry, place, size, width = _FORMS[form]
        start, count = _number(head, places, width), _number(head, counts, 2)
        if head[5:6] != b"\1" or _number(head, sizes, 2) != entry or start >> 62:
            return ""
        table = self._read(real, min(count, _ENTRIES) * entry, start)
        for at in range(0, len(table) - entry + 1, entry):
            if table[at : at + 4] != _INTERPRETER:
                continue
            where, length = _number(table, at + place, width), _number(table, at + size, width)
            if where >> 62 or length > _MOST_PATH:
                return ""
            return system.fsdecode(self._read(real, length, where).partition(b"\0")[0])
        return ""

    def _real(self, path: str) -> tuple[str, int]:
        """Return PATH without links and the mode of what is there; nothing where it leads to none.
        Raises OSError."""
        try:
            if ".." not in path and not any(
                f"{path}/".startswith(f"{one}/") for one in self._hidden
            ):
                mode, _ = self._look(path, NO_LINKS)
                if not system.S_ISLNK(mode):
                    return path, mode
        except FileNotFoundError:
            return "", 0
        except OSError as error:
            if error.errno != _ELOOP:
                raise
        try:
            return self._followed(path)
        except FileNotFoundError:
            return "", 0

    def _followed(self, path: str) -> tuple[str, int]:
        """Return the same; raises FileNotFoundError, and OSError."""
        rest = path.split("/")[::-1]
        trail: list[str] = []
        links = mode = 0
        while rest:
            name = rest.pop()
            if name == "..":
                del trail[-1:]
            if name in ("", ".", ".."):
                continue
            trail.append(name)
            here = "/" + "/".join(trail)
            if here in self._hidden:
                raise OSError(_UNTOLD)
            mode, target = self._look(here, 0)
            if system.S_ISLNK(mode):
                links += 1
                if links > _MOST_LINKS:
                    raise FileNotFoundError
                del trail[0 if target.startswith("/") else -1 :]
                rest += target.split("/")[::-1]
        return "/" + "/".join(trail), mode

    def _look(self, path: str, how: int) -> tuple[int, str]:
        """Return the mode of what PATH is, and where it leads if it is a link."""
        handle = self._open(path, system.O_PATH, how)
        try:
            mode = system.fstat(handle).st_mode
            return mode, system.readlink("", dir_fd=handle) if system.S_ISLNK(mode) else ""
        finally:
            system.close(handle)

    def _read(self, path: str, size: int, at: int) -> bytes:
        """Return SIZE bytes from AT on of the regular file that PATH is, without links. Raises
        OSError."""
        handle = self._open(path, system.O_RDONLY | system.O_NONBLOCK)
        try:
            return system.pread(handle, size, at)
        finally:
            system.close(handle)

    def _open(self, path: str, flags: int, how: int = 0) -> int:
        """Open PATH, of which a link at its end is opened itself. HOW may be NO_LINKS. Raises
        FileNotFoundError, and OSError for all else: of _ELOOP where a link is on the way then."""
        try:
            found = openat2(self._handle, path, flags | system.O_NOFOLLOW, IN_ROOT | how)
        except UnicodeError:
            raise OSError(_UNTOLD) from None
        if found >= 0:
            return found
        if ffi.errno in (_ENOENT, _ENOTDIR):
            raise FileNotFoundError(ffi.errno, system.strerror(ffi.errno))
        raise OSError(ffi.errno, system.strerror(ffi.errno))


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "little")


def _machine(head: bytes) -> tuple[int, int]:
    """Return for which machine the file that begins with HEAD is a program, -1 for none, and its
    class."""
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return -1, 0
    return int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"), head[4]


def _named(machine: int) -> str:
    return _MACHINES.get(machine, f"the ELF machine {machine}")
