"""Whether a directory that is the guest's root, and that nothing can be made in, has the places at
which something is mounted there: libkrun's init, and the stage, make those that are missing."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher._rules import MOUNTS, NAMES
from krunc_launcher.errors import asked_by, plain
from krunc_launcher.host.executable import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

    # What is mounted at: paths, whether they are files, and the key that asks for it.
    Place = tuple[list[str], bool, str]

_AT_A_FILE = {"hostname": "/etc/hosts", "host": "/etc/hosts", "nameserver": "/etc/resolv.conf"}
# Of a word that a shell takes as it is.
_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:@%,"


def missing(
    done: list[Operation], root: str, origin: str, laid: list[str], directories: Directories
) -> Iterator[str]:
    """Yield what the read-only ROOT, which the key ORIGIN asked for, lacks for DONE; LAID are paths
    that libkrun lays over it. What is mounted hides what is below: there it cannot be told."""
    try:
        handle = directories.open(root, system.O_PATH | system.O_DIRECTORY)
    except OSError:
        return  # the condition of the directory tells why
    hidden: set[str] = set()
    try:
        for paths, is_file, key in _places(done, origin):
            wrong = [path for path in paths if _is_wrong(Root(handle, hidden), path, is_file, laid)]
            if wrong:
                yield f"{_sentence(Root(handle, hidden), root, wrong, is_file)}{asked_by(key)}"
            hidden.update(map(system.normpath, paths))
    finally:
        system.close(handle)


def _places(done: list[Operation], origin: str) -> Iterator[Place]:
    """Yield what something is mounted at, in the order in which it is; a file once."""
    # libkrun's init mounts these, and the stage: of /dev the guest's kernel fills what is in it.
    yield NAMES["guest_own"].split(), False, origin
    files: set[str] = set()
    for operation in done:
        if operation.kind != "order":
            continue
        if operation.name in MOUNTS:
            yield [operation.argument("path")], False, operation.origin
        file = _AT_A_FILE.get(operation.name)
        if file is not None and file not in files:
            files.add(file)
            yield [file], True, operation.origin


def _is_wrong(root: Root, path: str, is_file: bool, laid: list[str]) -> bool:
    if any(f"{one}/".startswith(f"{path}/") or path.startswith(f"{one}/") for one in laid):
        return False
    try:
        mode = root.mode(path)
    except OSError:
        return False  # it cannot be told
    return not mode or system.S_ISDIR(mode) == is_file


def _sentence(root: Root, at: str, paths: list[str], is_file: bool) -> str:
    """Tell that PATHS are not what they have to be in ROOT, which is AT a path of the host."""
    what = "file" if is_file else "directory"
    named = ", ".join(map(plain, paths))
    first = f"the guest's root {plain(at)} is read-only and has no {what} {named} to mount at; "
    # A link may lead to another place of the host than of the guest.
    if any(root.is_taken(path) for path in paths):
        return f"{first}make it by hand: something else is there, or a link is on the way"
    if not is_file:
        return f"{first}mkdir -p {' '.join(_word(at + path) for path in paths)}"
    above = _word(at + system.dirname(paths[0]))
    return f"{first}mkdir -p {above} && touch {_word(at + paths[0])}"


def _word(path: str) -> str:
    """Return PATH as a word of a shell's command line."""
    if not path.strip(_SAFE):
        return path
    return "'" + plain(path).replace("'", "'\\''") + "'"
