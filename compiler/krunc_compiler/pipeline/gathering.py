"""The boxes and plans that a command looks at, and what it leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from krunc_compiler.files.boxfiles import ENDING, LOCK_ENDING, all_below, is_box_name, lock_file
from krunc_compiler.files.contents import contents
from krunc_compiler.files.tree import unlisted
from krunc_compiler.files.within import Within
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Located
from krunc_compiler.values.kind import IS_POLICY, kind_of_file

# What a lock has at its start, and other tools' files of such a name have not.
_MARK, _HEAD_BYTES = b'"krunc_lock"', 4096


class Gathered(NamedTuple):
    """Boxes and plans, each with the directory through which it was found: the one that was given,
    or that of the file that was. Plans that were given by their names are `named` too. `skipped`
    are files that could be a box or plan, and why they are none, or are not read. `locks` are locks
    without a box beside them."""

    boxes: dict[str, str]
    plans: dict[str, str]
    named: set[str]
    skipped: dict[str, str]
    findings: list[Located]
    locks: list[str]


def gather(paths: Iterable[str], within: Within) -> Gathered:
    """Find the boxes and plans that PATHS are, or that lie below them. What is not WITHIN what may
    be read is what its name says; who reads it is told why."""
    found = Gathered({}, {}, set(), {}, [], [])
    for given in paths:
        with contained(given, found.findings):
            if os.path.isdir(given):
                within.admit(given)  # its names may be secrets, too
                _directory(given, found, within)
            else:
                _file(given, found, within)
    seen: set[str] = set()
    for group in (found.boxes, found.plans):
        for path in list(group):
            if os.path.normpath(path) in seen:  # given in two ways
                del group[path]
            seen.add(os.path.normpath(path))
    return found


def _file(given: str, found: Gathered, within: Within) -> None:
    """Add a file that was named: what is none of box, plan and policy is what its name says."""
    home = os.path.dirname(given) or "."
    is_box = given == "-" or is_box_name(given)
    if os.path.isfile(given):
        kind, why = kind_of_file(given, within)
        if why == IS_POLICY:
            found.skipped[given] = why
            return
        is_box = kind == "box" or (kind == "neither" and is_box)
    if is_box:
        found.boxes[given] = home
    else:
        found.plans[given] = home
        found.named.add(given)


def _directory(given: str, found: Gathered, within: Within) -> None:
    tree = all_below(given)
    for path in tree.files:
        with contained(path, found.findings):
            seen = kind_of_file(path, within)
            if seen.kind == "box":
                found.boxes[path] = given
            elif seen.kind == "plan":
                found.plans[path] = given
            elif seen.why:
                found.skipped[path] = seen.why
    with_boxes = set(map(lock_file, found.boxes))
    found.locks.extend(
        path
        for path in tree.files
        if path.endswith(LOCK_ENDING) and path not in with_boxes and _is_lock(path, within)
    )
    found.skipped.update(dict.fromkeys(tree.links, "a link to a directory; name it to check it"))
    # Pipes and devices are refused by who reads them.
    found.boxes.update({path: given for path in tree.odd if is_box_name(path)})
    found.plans.update({path: given for path in tree.odd if path.endswith(ENDING)})
    for path, said in tree.closed:
        found.findings.extend(unlisted(path, said))


def _is_lock(path: str, within: Within) -> bool:
    """Tell whether the file PATH is a lock as krunc pull writes it."""
    try:
        return within.admits(path) and _MARK in contents(path, _HEAD_BYTES)
    except (OSError, ValueError):
        return False
