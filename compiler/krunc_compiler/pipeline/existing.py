"""The plan that a box has already: what it is for stays, unless somebody names another libkrun."""

from __future__ import annotations

import re

from krunc_compiler.files.contents import contents
from krunc_compiler.files.within import Within
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.libkrun import Target, target

# What no other file that krunc knows has at its start.
PLAN_MARK = b'"krunc_plan"'
# The name of a box and what a plan starts with are shorter by far.
_HEAD_BYTES = 4096
_TARGET = re.compile(rb'^"target": "([0-9.]{1,11})",\r?$', re.MULTILINE)


def target_of(path: str, within: Within) -> Target | None:
    """Return the libkrun that the plan in the file PATH is for; None where there is no plan as
    krunc writes it, WITHIN what may be read."""
    try:
        within.admit(path)
        head = contents(path, _HEAD_BYTES)
    except (OSError, ValueError, Rejected):
        return None  # who compares with it tells
    found = _TARGET.search(head) if PLAN_MARK in head else None
    return target(found[1].decode()) if found else None


def another_target(there: Target | None, now: str) -> str:
    """Tell that the plan that is THERE is for another libkrun than NOW, which its box is for."""
    if there is None or str(there) == now:
        return ""
    return f": it is for libkrun {there}, and the box is compiled for {now}"
