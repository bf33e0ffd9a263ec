"""The images' store: that a root is there, is what its name says, and that nobody else can change
it."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why
from krunc_launcher.host.architecture import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

_PIECE = 1 << 20
_OTHERS_WRITE = 0o022
_MOST_RECORD = 200


def unfit(operation: Operation, directories: Directories) -> Iterator[str]:
    """Tell why the image that OPERATION demands cannot be used here."""
    path, name = operation.argument("path"), plain(operation.argument("reference"))
    platform, machine = operation.argument("platform").c, system.uname().machine
    if here().get("platform") != platform:
        yield f"the image {name} is for {platform}; this machine is {machine}"
    try:
        handle = directories.open(path, system.O_RDONLY | system.O_NOFOLLOW | system.O_NONBLOCK)
    except FileNotFoundError:
        yield (
            f"the image {name} ({platform}) is not in the store {plain(directories.store)}: "
            f"krunc pull --locked BOX fetches it, where BOX is the box of this plan"
        )
        return
    except OSError as error:
        yield f"{plain(path)}: {why(error)}; a root of the store is a regular file"
        return
    try:
        problem = _doubt(handle, operation, directories) or _content(handle, path, directories)
    except OSError as error:
        problem = f"cannot be read: {why(error)}"
    finally:
        system.close(handle)
    if problem:
        yield f"{plain(path)} {problem}; remove it, and run krunc pull --locked BOX"


def _doubt(handle: int, operation: Operation, directories: Directories) -> str:
    """Tell why the open file HANDLE is not what OPERATION demands, or another could change it."""
    status, above = system.fstat(handle), directories.status(directories.store)
    size = operation.argument("size")
    if not system.S_ISREG(status.st_mode):
        return "is not a regular file"
    if _changeable(status):
        return f"can be changed by another user: {_changeable(status)}"
    if _changeable(above):
        return f"lies in a directory that another user can change: {_changeable(above)}"
    if status.st_size != size:
        return f"has {status.st_size} bytes, and the plan says {size}"
    return ""


def _changeable(status: system.stat_result) -> str:
    """Tell why others than root and the launching user can change what STATUS is of."""
    if status.st_uid not in (system.geteuid(), 0):
        return f"it belongs to uid {status.st_uid}"
    return f"its mode is {status.st_mode & 0o7777:04o}" if status.st_mode & _OTHERS_WRITE else ""


def _content(handle: int, path: str, directories: Directories) -> str:
    """Tell whether the open file HANDLE differs from the digest in its name: asked of all its bytes
    once, and then of the record beside it."""
    record = _record(system.fstat(handle))
    if _recorded(path.removesuffix(_ENDING) + _RECORD, directories) == record:
        return ""
    found = _hashed(handle)
    if f"sha256-{found}{_ENDING}" != system.basename(path):
        return f"has the digest sha256:{found}, and not the one in its name"
    directories.hashed.append((path.removesuffix(_ENDING) + _RECORD, record))
    return ""


_ENDING, _RECORD = ".erofs", ".checked"


def _record(status: system.stat_result) -> str:
    """Return what tells the file of STATUS from itself after a change, as krunc pull does."""
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, numbers)) + "\n"


def _recorded(path: str, directories: Directories) -> str:
    """Return the record at PATH; empty where there is none that can be believed."""
    try:
        handle = directories.open(path, system.O_RDONLY | system.O_NOFOLLOW | system.O_NONBLOCK)
    except OSError:
        return ""
    try:
        status = system.fstat(handle)
        if not system.S_ISREG(status.st_mode) or _changeable(status):
            return ""
        return system.read(handle, _MOST_RECORD).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        system.close(handle)


def _hashed(handle: int) -> str:
    try:
        # OpenSSL's is several times as quick, and only a root that is new here needs it.
        from _hashlib import openssl_sha256 as sha256
    except ImportError:
        from krunc_launcher.approval.digest import own_sha256 as sha256

    digest = sha256()
    while data := system.read(handle, _PIECE):
        digest.update(data)
    return str(digest.hexdigest())
