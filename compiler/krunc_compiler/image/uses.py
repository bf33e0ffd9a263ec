"""Which locks and plans name which roots: by their text, so that a broken one still keeps what it
names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from krunc_compiler.files.boxfiles import all_below, lock_file
from krunc_compiler.files.contents import contents
from krunc_compiler.files.tree import unlisted
from krunc_compiler.findings.finding import Finding, Located
from krunc_compiler.findings.report import only
from krunc_compiler.findings.wording import why

# A plan has at most a MiB; a lock of a large matrix has more.
_MOST = 64 << 20
_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
_ENDING = ".json"
_NAMED = "name boxes, locks, plans, or directories of them that can be read"
_MARKS = (b'"krunc_lock"', b'"krunc_plan"')


def uses(paths: Iterable[str]) -> tuple[dict[str, list[str]], list[Located]]:
    """Return, for each digest in a lock or plan that PATHS name or that lies below them, the files
    that have it; and what could not be read.

    A box names its lock.
    """
    found: dict[str, list[str]] = {}
    findings: list[Located] = []
    for path in dict.fromkeys(_files(paths, findings)):
        try:
            data = contents(path, _MOST + 1)
        except (OSError, ValueError) as error:
            said = why(error) if isinstance(error, OSError) else "no file can have such a name"
            finding = Finding("KR001", f"the file cannot be read: {said}", hint=_NAMED)
            findings += only(path, finding)
            continue
        if not any(mark in data for mark in _MARKS):
            continue
        if len(data) > _MOST:
            findings += only(path, Finding("KR001", f"the file has more than {_MOST:,} bytes"))
        for digest in dict.fromkeys(_DIGEST.findall(data)):
            found.setdefault(f"sha256:{digest.decode()}", []).append(path)
    return found, findings


def _files(paths: Iterable[str], findings: list[Located]) -> Iterable[str]:
    for path in paths:
        if not os.path.isdir(path):
            lock = lock_file(path)
            is_box = not path.endswith(_ENDING)
            yield lock if is_box and os.path.exists(lock) else path
            continue
        tree = all_below(path)
        yield from (name for name in tree.files if name.endswith(_ENDING))
        for closed, said in tree.closed:
            findings += unlisted(closed, said)
