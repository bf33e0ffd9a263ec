"""The system's calls, for all modules of a launch: those of `os`, `os.path` and `stat` that they
use, by the same names, and no others. These three would take a tenth of a launch to import."""

from __future__ import annotations

import sys
from posix import (
    O_APPEND,
    O_ASYNC,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOCTTY,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    R_OK,
    W_OK,
    WEXITSTATUS,
    WIFEXITED,
    WIFSIGNALED,
    WNOHANG,
    WTERMSIG,
    X_OK,
    _exit,
    access,
    chdir,
    chmod,
    chown,
    close,
    closerange,
    cpu_count,
    dup,
    dup2,
    environ,
    execve,
    fchmod,
    fchown,
    fork,
    fstat,
    fsync,
    ftruncate,
    get_blocking,
    get_inheritable,
    getcwd,
    getegid,
    geteuid,
    getgroups,
    getpid,
    getppid,
    isatty,
    kill,
    listdir,
    lstat,
    major,
    minor,
    mkdir,
    open,
    pipe,
    pread,
    putenv,
    read,
    readlink,
    readv,
    replace,
    rmdir,
    scandir,
    set_blocking,
    setsid,
    stat,
    stat_result,
    strerror,
    sysconf,
    umask,
    uname,
    unlink,
    unsetenv,
    urandom,
    waitpid,
    write,
)

if sys.platform == "linux":
    from posix import O_PATH

DEVNULL = "/dev/null"
S_ISVTX = 0o1000  # inode(7), as what follows
_KIND = 0o170000
ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def S_ISDIR(mode: int) -> bool:
    return mode & _KIND == 0o040000


def S_ISREG(mode: int) -> bool:
    return mode & _KIND == 0o100000


def S_ISLNK(mode: int) -> bool:
    return mode & _KIND == 0o120000


def S_ISSOCK(mode: int) -> bool:
    return mode & _KIND == 0o140000


def S_ISFIFO(mode: int) -> bool:
    return mode & _KIND == 0o010000


def S_ISCHR(mode: int) -> bool:
    return mode & _KIND == 0o020000


def S_ISBLK(mode: int) -> bool:
    return mode & _KIND == 0o060000


def fsencode(text: str) -> bytes:
    """Return TEXT as the system has it: what came from there undecodable is as it was."""
    return text.encode(ENCODING, _ERRORS)


def fsdecode(data: bytes) -> str:
    """Return DATA of the system as text, from which `fsencode` makes the same."""
    return data.decode(ENCODING, _ERRORS)


def variable(name: str) -> str | None:
    """Return the variable NAME of the environment; None where it is not set."""
    found = environ.get(fsencode(name))
    return None if found is None else fsdecode(found)


def set_variable(name: str, text: str) -> None:
    """Set the variable NAME of the environment, for libraries, too."""
    key, value = fsencode(name), fsencode(text)
    putenv(key, value)
    environ[key] = value


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all of DATA into HANDLE; raises OSError. A full disk, or a limit on a file's size,
    takes a part of it first."""
    rest = memoryview(data)
    while rest:
        rest = rest[write(handle, rest) :]


def memfd(name: str) -> int:
    """Open a file that only memory holds."""
    # Here, for it is not in every Python.
    from posix import memfd_create

    return memfd_create(name)


def makedirs(path: str, mode: int) -> None:
    """Make the directory PATH with MODE, and those above it, in which no other user may rename
    it; what is there stays."""
    if isdir(path):
        return  # as most are
    path = path.rstrip("/") or "/"
    above = dirname(path)
    if above and not exists(above):
        makedirs(above, 0o755)
    try:
        mkdir(path, mode)
    except OSError:
        if not isdir(path):
            raise


def _mode(path: str) -> int:
    """Return the mode of the file that PATH leads to; 0 where there is none."""
    try:
        return stat(path).st_mode
    except (OSError, ValueError):
        return 0


def exists(path: str) -> bool:
    return _mode(path) != 0


def isdir(path: str) -> bool:
    return S_ISDIR(_mode(path))


def isfile(path: str) -> bool:
    return S_ISREG(_mode(path))


def lexists(path: str) -> bool:
    try:
        lstat(path)
    except (OSError, ValueError):
        return False
    return True


def basename(path: str) -> str:
    return path.rpartition("/")[2]


def dirname(path: str) -> str:
    above, slash, _ = path.rpartition("/")
    return above.rstrip("/") or above + slash


def join(path: str, name: str) -> str:
    if name.startswith("/"):
        return name
    return path + name if not path or path.endswith("/") else f"{path}/{name}"


def abspath(path: str) -> str:
    """Return PATH from the root on; raises OSError where there is no working directory."""
    return normpath(path if path.startswith("/") else join(getcwd(), path))


def normpath(path: str) -> str:
    """Return PATH without what leads nowhere: `.`, `..` and slashes too many."""
    if path.startswith("/") and "//" not in path and "/." not in path and not path.endswith("/"):
        return path  # as most are
    # POSIX leaves it to each system what two slashes at the start mean.
    root = path[: len(path) - len(path.lstrip("/"))]
    root = root if len(root) < 3 else "/"
    kept: list[str] = []
    for name in path.split("/"):
        if name == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif name not in ("", ".") and (name != ".." or not root):
            kept.append(name)
    return root + "/".join(kept) or "."
