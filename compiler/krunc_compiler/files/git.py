"""Texts at a revision of a git repository: REV:path, as git has it."""

from __future__ import annotations

import os
import posixpath
from typing import NamedTuple

from krunc_compiler.files.commits import LINK, SUBMODULE, Objects, followed
from krunc_compiler.files.source import MAX_BYTES, decode
from krunc_compiler.findings.finding import Finding, Rejected, UsageError
from krunc_compiler.findings.report import only


def is_asked(name: str) -> bool:
    """Tell whether the argument NAME asks for REV:path. Raises UsageError when there is a file of
    that name, whatever git has: a branch could bring it, to be read in the place of a revision."""
    if not _has_form(name):
        return False
    if os.path.lexists(name):
        raise UsageError(
            f"{name} has the form REV:PATH of a revision, and is a file here, too; write ./{name} "
            "for the file, or rename it"
        )
    return True


def is_one(name: str) -> bool:
    """Tell whether the text that is called NAME is of a revision, and of no file."""
    return _has_form(name) and not os.path.lexists(name)


def _has_form(name: str) -> bool:
    revision, colon, _ = name.partition(":")
    # No revision starts so: a path that does is a file's, whatever it has behind.
    return bool(colon and revision) and not name.startswith(("/", "./", "../"))


def read(name: str) -> str:
    """Return the text of NAME, which has the form REV:path. Raises Rejected and UsageError."""
    _admit(name)
    data, said = _blob(name)
    if data is None:
        finding = Finding(
            "KR001",
            f"neither a file nor in git: {said}",
            hint="write REV:PATH from the top of the repository, or REV:./PATH from this directory",
        )
        raise Rejected(only(name, finding))
    return decode(name, data)


def _blob(name: str) -> tuple[bytes | None, str]:
    """Return the start of the object NAME, one byte more than may be read; None and git's words
    when there is none. Git is not waited for when it has more."""
    from subprocess import PIPE, Popen

    with Popen(["git", "cat-file", "blob", name], stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        data = process.stdout.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            process.kill()
            return data, ""
        said = _words(process.stderr.read())
        return (None if process.wait() else data), said


def is_directory(name: str) -> bool:
    """Tell whether NAME, which has the form REV:path, is a directory in git. Raises UsageError."""
    from subprocess import run

    _admit(name)
    done = run(["git", "cat-file", "-t", name], capture_output=True, check=False)
    return done.stdout.strip() == b"tree"


def below(name: str, path: str) -> str:
    """Return the name of PATH, which starts at the directory NAME."""
    return f"{name}{path}" if name.endswith((":", "/")) else f"{name}/{path}"


class Below(NamedTuple):
    """What git has below a directory: a file, or what a link leads to that is one at the same
    revision, with its object. Of another link, or a submodule, there is the `target` instead."""

    path: str
    identity: str
    target: str = ""
    is_link: bool = False


def files(name: str) -> list[Below]:
    """Return what is below the directory NAME, which has the form REV:path. Raises Rejected."""
    from subprocess import run

    told = ["git", "ls-tree", "-r", "-z", "--full-tree", name]
    done = run(told, capture_output=True, check=False)
    if done.returncode:
        said = _words(done.stderr)
        raise Rejected(only(name, Finding("KR001", f"git cannot list it: {said}")))
    rows = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    found = []
    links = []
    for head, _, path in (row.partition("\t") for row in rows if row):
        mode, _, identity = head.split(" ")
        if mode == LINK:
            links.append((path, identity))
        elif mode == SUBMODULE:
            found.append(Below(path, "", identity))
        else:
            found.append(Below(path, identity))
    if links:
        ends = followed([below(name, path) for path, _ in links])
        with Objects() as objects:
            for (path, identity), end in zip(links, ends, strict=True):
                target = objects.start(path, identity).decode("utf-8", "surrogateescape")
                found.append(Below(path, end) if end else Below(path, "", target, is_link=True))
    return found


def beside(name: str, other: str) -> str:
    """Return the name at the same revision of OTHER, a path that starts at the directory of
    NAME."""
    revision, _, path = name.partition(":")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), other))
    if path.startswith(("./", "../")) and not whole.startswith("../"):
        whole = f"./{whole}"
    return f"{revision}:{whole}"


def _admit(name: str) -> None:
    from shutil import which

    if name.startswith("-"):
        raise UsageError(f"{name}: a revision does not start with -")
    if which("git") is None:
        raise UsageError(f"{name}: there is no such file, and no git to ask for a revision")


def _words(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().removeprefix("fatal: ")
