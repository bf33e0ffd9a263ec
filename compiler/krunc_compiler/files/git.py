"""Texts at a revision of a git repository: REV:path, as git has it."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from krunc_compiler.files.source import MAX_BYTES, decode
from krunc_compiler.findings.finding import Finding, Rejected, UsageError
from krunc_compiler.findings.report import only

if TYPE_CHECKING:
    from subprocess import CompletedProcess


def has_form(name: str) -> bool:
    """Tell whether NAME can be REV:path."""
    revision, colon, path = name.partition(":")
    return bool(colon and revision and path)


def is_one(name: str) -> bool:
    """Tell whether NAME is REV:path and no file. Raises UsageError when it is both: a file of that
    name could stand for what git has."""
    if not has_form(name) or name.startswith("-") or not _has_git():
        return False
    there = _git("-e", name).returncode == 0
    if there and os.path.exists(name):
        raise UsageError(f"{name} is a file and in git; write ./{name} for the file")
    return there


def read(name: str) -> str:
    """Return the text of NAME, which has the form REV:path. Raises Rejected and UsageError."""
    if name.startswith("-"):
        raise UsageError(f"{name}: a revision does not start with -")
    if not _has_git():
        raise UsageError(f"{name}: there is no such file, and no git to ask for a revision")
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
        said = process.stderr.read().decode("utf-8", "replace").strip().removeprefix("fatal: ")
        return (None if process.wait() else data), said


def is_directory(name: str) -> bool:
    """Tell whether NAME, which has the form REV:path, is a directory in git."""
    if name.startswith("-") or not _has_git():
        return False
    return _git("-t", name).stdout.strip() == b"tree"


def files(name: str) -> list[tuple[str, str]]:
    """Return the files in the directory NAME, which has the form REV:path, each with the name of
    its object; links and submodules are none."""
    from subprocess import run

    told = ["git", "ls-tree", "-r", "-z", "--full-tree", name]
    done = run(told, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise Rejected(only(name, Finding("KR001", f"git cannot list it: {said}")))
    rows = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for head, _, path in (row.partition("\t") for row in rows if row):
        mode, _, identity = head.split(" ")
        if mode.startswith("100"):
            found.append((path, identity))
    return found


def beside(name: str, other: str) -> str:
    """Return the name at the same revision of OTHER, a path that starts at the directory of
    NAME."""
    revision, _, path = name.partition(":")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), other))
    if path.startswith(("./", "../")) and not whole.startswith("../"):
        whole = f"./{whole}"
    return f"{revision}:{whole}"


def _has_git() -> bool:
    from shutil import which

    return which("git") is not None


def _git(*args: str) -> CompletedProcess[bytes]:
    from subprocess import run

    return run(["git", "cat-file", *args], capture_output=True, check=False)
