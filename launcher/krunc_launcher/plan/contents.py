"""The contents that a plan gives libkrun as bytes: of an overlay file, or of a display's EDID.

{"text": T} and {"base64": T} stand in the plan, {"file": PATH} is a file of the host, read before
the first call, and {"process": ...} is the configuration file in which libkrun's init finds the
guest's program.
"""

from __future__ import annotations

from krunc_launcher._rules import GUEST_CONFIGURATION, KINDS, RESERVED_ENV
from krunc_launcher.errors import shown
from krunc_launcher.plan import secrets
from krunc_launcher.plan.text import fits, host_path, is_name, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.text import Findings, Path

_FORMS = '{"text": TEXT}, {"base64": TEXT}, {"file": PATH} or {"process": {cwd, env, args}}'
_PROCESS = ("cwd", "env", "args")


def check(value: Any, path: Path, found: Findings) -> None:
    """Append to FOUND what is wrong with a content of a plan, which stands at PATH."""
    if type(value) is not dict or len(value) != 1:
        found.append((path, f"allowed: {_FORMS}"))
        return
    ((kind, given),) = value.items()
    where = (*path, kind)
    if kind == "text":
        if type(given) is not str:
            found.append((where, f"found {shown(given)}; expected a string"))
        elif any("\ud800" <= character <= "\udfff" for character in given):
            found.append((where, "a lone surrogate is not a character"))
    elif kind == "file":
        host_path(given, {}, where, found)
    elif kind == "base64":
        if not fits(given, KINDS["base64"]):
            found.append((where, "this is not base64"))
    elif kind == "process":
        _process(given, where, found)
    else:
        found.append((path, f"allowed: {_FORMS}"))


def _process(given: Any, where: Path, found: Findings) -> None:
    if type(given) is not dict or tuple(given) != _PROCESS:
        found.append((where, "expected an object of cwd, env and args, in this order"))
        return
    cwd, env, args = (given[key] for key in _PROCESS)
    _text(cwd, (*where, "cwd"), found)
    if type(cwd) is str and not cwd.startswith("/"):
        found.append(((*where, "cwd"), f"found {shown(cwd)}; it starts with /"))
    if type(args) is not list or not args or args[0] == "":
        found.append(((*where, "args"), "expected a list that starts with the program"))
    else:
        for i, item in enumerate(args):
            _text(item, (*where, "args", i), found)
    if type(env) is not dict:
        found.append(((*where, "env"), f"found {shown(env)}; expected an object"))
        return
    for name, item in env.items():
        place = (*where, "env", name)
        if not is_name(name):
            found.append((place, f"{shown(name)} is not a name of a variable"))
        elif name.startswith(tuple(RESERVED_ENV["prefixes"])):
            found.append((place, f"libkrun's init reserves {name}"))
        if type(item) is dict:
            secrets.check(item, place, found)
        else:
            _text(item, place, found)


def _text(value: Any, path: Path, found: Findings) -> None:
    if text(value, {}, path, found) and not readable(value):
        found.append((path, f"found {shown(value)}; {GUEST_CONFIGURATION['doc']}"))


def readable(value: str) -> bool:
    """Tell whether libkrun's init reads VALUE from its configuration file as it is."""
    return all(c >= " " or c in GUEST_CONFIGURATION["controls"] for c in value)
