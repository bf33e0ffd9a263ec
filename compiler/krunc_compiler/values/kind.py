"""Decide what a text is: a box, a plan, or neither.

Everything that compiles, checks, shows or launches asks here, so that what one of them takes for a
box or a plan, all do. The value of the text decides. What a text cannot be without, such as the
word `krunc`, is looked for in its bytes first, so that most files are not parsed for it.
"""

import json
import re
from functools import cache
from typing import Any, Literal, NamedTuple

from krunc_compiler.files.boxfiles import ENDING, is_box_name
from krunc_compiler.files.contents import contents
from krunc_compiler.files.source import MAX_BYTES, decode
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Rejected

KEY, PLAN_KEY, POLICY_KEY = "krunc", "krunc_plan", "krunc_policy"
_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
# So much of a file that is neither YAML nor JSON is read.
_START = 4096
# As boxes are written: then there is nothing to decide. In a block at the left such a line can be
# part of a text; that file is told of as a box that is wrong.
_PLAIN = re.compile(rb"""(?m)^(?:krunc|"krunc"|'krunc')[ \t]*:[ \t]+1[ \t]*\r?$""")
# When it is first used: most runs use none of them.
_compiled = cache(re.compile)
# In double quotes YAML can spell each letter of a key, or break a line within it.
_SPELLED = rb"\\(?:[xuU]|\r|\n)"
# A key of a text that is not parsed, for it is not YAML.
_LIKE_A_KEY = rb"""(?:^|[\s,{])["']?krunc["']?\s*:"""
_LIKE_A_PLAN = rb'"krunc_plan"\s*:'

NO_KEY = "no `krunc:` key"
IS_POLICY = "it is a policy, and not in .krunc"
OUTSIDE = "it leads out of the repository, or of the directory that is checked"


class Seen(NamedTuple):
    """What a text is and, of what is neither, why."""

    kind: Literal["box", "plan", "neither"]
    why: str = ""


_BOX, _PLAN = Seen("box"), Seen("plan")


def kind_of_file(path: str, within: Within = ANYWHERE) -> Seen:
    """Decide what the file PATH is. What cannot be read, or is not WITHIN what may be, is what its
    name says: a reader tells why.

    A file is a box when its name is that of a box and its text that of one; a plan by its text
    alone, or when it is called NAME.plan.json.
    """
    if path.endswith(ENDING):
        return _PLAN
    is_yaml = is_box_name(path)
    if not within.admits(path):
        return _BOX if is_yaml else Seen("neither", OUTSIDE)
    try:
        data = contents(path, MAX_BYTES + 1 if is_yaml else _START)
        if not is_yaml:
            start = data.removeprefix(_MARK).lstrip(_BLANKS)
            if not (start.startswith(b"{") or (not start and len(data) == _START)):
                return Seen("neither")
            data = contents(path, MAX_BYTES + 1)
    except (OSError, ValueError):
        return _BOX if is_yaml else Seen("neither")
    return kind(path, data, within)


def kind(name: str, data: bytes, within: Within = ANYWHERE) -> Seen:
    """Decide what DATA is, the text of the file NAME. Bases that it extends are read, as far as
    they are WITHIN what may be."""
    if is_plan(name, data):
        return _PLAN
    if not is_box_name(name):
        return Seen("neither", IS_POLICY if _is_policy(data) else "")
    return _of_yaml(name, data, within)


def kind_of_text(name: str, text: str) -> Seen:
    """Decide what TEXT is, whatever its NAME."""
    data = text.encode("utf-8", "surrogatepass")
    return _PLAN if is_plan(name, data) else _of_yaml(name, data, ANYWHERE)


def is_plan(name: str, data: bytes) -> bool:
    """Tell whether DATA is a JSON object with the key of a plan, or means to be one."""
    start = data.removeprefix(_MARK).lstrip(_BLANKS)
    if not start.startswith(b"{") or not (PLAN_KEY.encode() in data or b"\\u" in data):
        return False
    try:
        value = json.loads(start.decode("utf-8"))
    except (ValueError, RecursionError):
        # In a file of YAML it may be a box, and is read as one.
        return not is_box_name(name) and _compiled(_LIKE_A_PLAN).search(start) is not None
    return isinstance(value, dict) and PLAN_KEY in value


def _is_policy(data: bytes) -> bool:
    """Tell whether DATA is a JSON object with the key of a policy."""
    if POLICY_KEY.encode() not in data:
        return False
    try:
        value = json.loads(data.removeprefix(_MARK).decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and POLICY_KEY in value


def _of_yaml(name: str, data: bytes, within: Within) -> Seen:
    if _PLAIN.search(data):
        return _BOX
    if not (KEY.encode() in data or b"extends" in data or _compiled(_SPELLED).search(data)):
        return Seen("neither", NO_KEY)
    from krunc_compiler.text.parsing import parse_on  # plans, and plain boxes, need no YAML here

    try:
        text = decode(name, data)
        value, _ = parse_on(name, text)
    except Rejected as rejected:
        if _compiled(_LIKE_A_KEY).search(data):
            return _BOX
        return Seen("neither", f"{NO_KEY} in sight, and {_reason(rejected)}")
    if not isinstance(value, dict):
        return Seen("neither", NO_KEY)
    if "extends" in value and not (PLAN_KEY in value or KEY in value):
        from krunc_compiler.values.boxlike import is_like_box
        from krunc_compiler.values.extending import load

        try:
            merged, _ = load(name, text, within)
        except Rejected as rejected:
            # A base that is not read may have all that this lacks.
            if is_like_box(value) and (len(value) > 1 or _is_outside(rejected)):
                return _BOX
            return Seen("neither", f"{NO_KEY}, and {_reason(rejected)}")
        value = merged
    return _of_value(value)


def _of_value(value: dict[str, Any]) -> Seen:
    if PLAN_KEY in value:
        return _PLAN
    if KEY not in value:
        return Seen("neither", IS_POLICY if POLICY_KEY in value else NO_KEY)
    if isinstance(value[KEY], dict | list):
        return Seen("neither", "its key `krunc` is not `krunc: 1`: a job of another tool, perhaps")
    return _BOX


def _is_outside(rejected: Rejected) -> bool:
    return any(item.finding.code == "KR011" for item in rejected.findings)


def _reason(rejected: Rejected) -> str:
    return rejected.findings[0].finding.message
