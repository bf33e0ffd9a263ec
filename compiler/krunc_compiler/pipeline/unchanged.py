"""Whether an earlier run compiled the same many files to the plans that are there now.

One small file below the user's cache directory tells of each command; without it everything is
compiled. `krunc compile --check` and `krunc check` never look there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any

import krunc_schema

import krunc_compiler
from krunc_compiler.files.contents import contents
from krunc_compiler.files.sha256 import hexdigest, running
from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.files.writing import write
from krunc_compiler.values.kind import Seen, kind

# A clock of the kernel's files moves on at least that often (CONFIG_HZ of 100).
_TICK_S = 0.02
_KEPT = 20
# Some hundred bytes for each plan, of more plans than a directory holds.
_MOST_BYTES = 1 << 26


class Earlier:
    """What is known of the earlier run that was given WORDS and read FILES; `others` are those of
    FILES that are no boxes."""

    def __init__(self, words: list[Any], files: list[str]) -> None:
        told = json.dumps([words, os.getcwd(), _program()])
        self._directory = os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "krunc", "compiled"
        )
        self._path = os.path.join(self._directory, hexdigest(os.fsencode(told)))
        self._files = files
        self._read, self.others = _contents(files)

    def plans(self) -> list[str] | None:
        """Return the plans, when neither they nor the files have changed since they were made."""
        try:
            known = json.loads(contents(self._path, _MOST_BYTES))
            if known["files"] == self._read and known["state"] == _state(known["plans"]):
                return list(known["plans"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there was none, or somebody wrote there
        return None

    def remember(self, plans: dict[str, str]) -> None:
        """Keep that the files make PLANS, each a path and its digest, which are on the disk."""
        time.sleep(_TICK_S)  # whoever changes one from now on changes its time too
        state = _state(plans)
        if not all(map(_holds, plans, plans.values())) or _contents(self._files)[0] != self._read:
            return
        known = {"files": self._read, "state": state, "plans": list(plans)}
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            write(self._path, json.dumps(known))
            _prune(self._directory)
        except OSError:
            pass  # the next run compiles again


def _program() -> str:
    """Tell what tells this krunc from another, also from one of the same version that was
    edited."""
    homes = [os.path.dirname(str(package.__file__)) for package in (krunc_compiler, krunc_schema)]
    return _state(
        os.path.join(directory, name)
        for home in homes
        for directory, _, names in os.walk(home)
        for name in names
        if name.endswith((".py", ".json"))
    )


def _contents(files: Iterable[str]) -> tuple[str, dict[str, Seen]]:
    """Return the digest of all FILES, and those that are no boxes."""
    whole = running()
    others = {}
    for path in files:
        try:
            data = contents(path, MAX_BYTES + 1)
        except OSError:
            whole.update(os.fsencode(f"{path}\0-\0"))
            continue  # it is reported when it is read
        seen = kind(path, data)
        if seen.kind != "box":
            others[path] = seen
        whole.update(os.fsencode(f"{path}\0{len(data)}\0") + data)
    return str(whole.hexdigest()), others


def _state(paths: Iterable[str]) -> str:
    found = []
    for path in paths:
        at = os.stat(path)
        found.append(f"{path}\0{at.st_size} {at.st_mtime_ns} {at.st_ctime_ns} {at.st_ino}")
    return hexdigest(os.fsencode("\n".join(found)))


def _holds(path: str, digest: str) -> bool:
    return hexdigest(contents(path, MAX_BYTES)) == digest


def _prune(directory: str) -> None:
    paths = [entry.path for entry in os.scandir(directory) if entry.is_file()]
    for path in sorted(paths, key=os.path.getmtime)[:-_KEPT]:
        os.unlink(path)
