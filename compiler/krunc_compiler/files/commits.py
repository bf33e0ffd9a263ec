"""What changed between two commits, by git's objects alone.

No file is opened, no link followed, and nothing is run that a repository can name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.findings.finding import Finding, Rejected
from krunc_compiler.findings.report import only

# Git's modes of what is no file.
NOTHING, LINK, SUBMODULE = "000000", "120000", "160000"
# What git says of a link that leads to a file.
_FILE = re.compile(rb"[0-9a-f]{40,64} blob [0-9]+")
# What it says of one that leads to nothing at its revision; as many bytes come behind.
_ELSEWHERE = (b"symlink", b"dangling", b"loop", b"notdir")


class GitError(Exception):
    """Git cannot tell what changed."""


class Changed(NamedTuple):
    """A path that changed: what each side has there, by git's mode and object."""

    path: str
    modes: tuple[str, str]
    objects: tuple[str, str]


def changed(base: str) -> Iterator[Changed]:
    """Tell what changed since HEAD left the commit BASE, in the order of paths. Raises GitError."""
    start = _git("merge-base", base, "HEAD").decode().strip()
    # Without the last option a .gitmodules could leave its submodules out.
    told = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none")
    fields = _git(*told, start, "HEAD", "--").decode("utf-8", "surrogateescape").split("\0")
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        old, new, was, now, _ = head.lstrip(":").split(" ")
        yield Changed(path, (old, new), (was, now))


class Entry(NamedTuple):
    """What a commit has at a path."""

    mode: str
    name: str

    @property
    def is_file(self) -> bool:
        """Tell whether it is a file, no link and no submodule."""
        return self.mode.startswith("100")


def head() -> tuple[str, dict[str, Entry]]:
    """Return the commit HEAD, and all that it has, by path. Raises GitError."""
    commit = _git("rev-parse", "HEAD").decode().strip()
    told = _git("ls-tree", "-r", "-z", "--full-tree", commit, "--")
    found = {}
    for row in told.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        about, _, path = row.partition("\t")
        mode, _, name = about.split(" ")
        found[path] = Entry(mode, name)
    return commit, found


class Objects:
    """The objects of a repository, which one process of git tells."""

    def __enter__(self) -> Objects:
        from subprocess import PIPE, Popen

        self._git = Popen(["git", "cat-file", "--batch"], stdin=PIPE, stdout=PIPE)
        assert self._git.stdin is not None
        assert self._git.stdout is not None
        self._asked, self._told = self._git.stdin, self._git.stdout
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()
        self._told.close()
        self._git.wait()

    def start(self, path: str, name: str) -> bytes:
        """Return the start of the object NAME, which stands at PATH: as much as a box or a plan may
        have, and one byte more. Raises Rejected."""
        self._asked.write(f"{name}\n".encode())
        self._asked.flush()
        head = self._told.readline().split()
        if len(head) != 3:
            finding = Finding("KR001", f"git has no object {name}", hint="clone the whole history")
            raise Rejected(only(path, finding))
        size = int(head[2])
        data = self._told.read(min(size, MAX_BYTES + 1))
        rest = size - len(data) + 1  # and the end of a line
        while rest:
            rest -= len(self._told.read(min(rest, MAX_BYTES)))
        return data


def followed(names: list[str]) -> list[str]:
    """Return the object of the file to which each of NAMES, a link as REV:path, leads at the same
    revision; "" where it leads to none."""
    from subprocess import run

    told = ["git", "cat-file", "--batch-check", "--follow-symlinks"]
    # A name of several lines would be several names.
    asked = [name if "\n" not in name else ":" for name in names]
    lines = "".join(f"{name}\n" for name in asked).encode("utf-8", "surrogateescape")
    said = run(told, input=lines, capture_output=True, check=False).stdout
    found = []
    for _ in asked:
        head, _, said = said.partition(b"\n")
        first, _, rest = head.partition(b" ")
        found.append(first.decode() if _FILE.fullmatch(head) else "")
        if first in _ELSEWHERE and rest.isdigit():
            said = said[int(rest) + 1 :]
    return found


def _git(*args: str) -> bytes:
    from subprocess import run

    done = run(["git", *args], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise GitError(f"git {args[0]}: {said or 'no commit in common; clone the whole history'}")
    return done.stdout
