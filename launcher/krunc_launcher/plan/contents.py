"""The contents that a plan gives libkrun as bytes: of an overlay file, or of a display's EDID.

{"text": T} and {"base64": T} stand in the plan, {"file": PATH} is a file of the host, read before
the first call, and {"process": ...} is the configuration file in which libkrun's init finds the
guest's program.
"""

from __future__ import annotations

import os
import stat

from krunc_launcher._rules import GUEST_CONFIGURATION, LIMITS, RESERVED_ENV
from krunc_launcher.errors import shown
from krunc_launcher.plan import arguments as values
from krunc_launcher.plan import secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.plan.arguments import Findings, Path
    from krunc_launcher.plan.secrets import Reader
    from krunc_launcher.resolve.resolve import Content

_FORMS = '{"text": TEXT}, {"base64": TEXT}, {"file": PATH} or {"process": {cwd, env, args}}'
_PROCESS = ("cwd", "env", "args")


def read(path: str) -> bytes:
    """The bytes of a regular file; raises OSError."""
    most = LIMITS["content_bytes"]
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path}: this is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"{path}: this has more than {most} bytes")
    return data


def check(value: Any, path: Path, found: Findings) -> None:
    """Append to FOUND what is wrong with a content of a plan, which stands at PATH."""
    if type(value) is not dict or len(value) != 1:
        found.append((path, f"allowed: {_FORMS}"))
        return
    ((kind, given),) = value.items()
    where = (*path, kind)
    if kind == "text":
        if type(given) is not str:
            found.append((where, f"found {shown(given)}; a text is needed"))
        elif any("\ud800" <= character <= "\udfff" for character in given):
            found.append((where, "a lone surrogate is no character"))
    elif kind == "file":
        values.host_path(given, {}, where, found)
    elif kind == "base64":
        _base64(given, where, found)
    elif kind == "process":
        _process(given, where, found)
    else:
        found.append((path, f"allowed: {_FORMS}"))


def _base64(given: Any, where: Path, found: Findings) -> None:
    from binascii import Error, a2b_base64

    try:
        a2b_base64(given)
    except (Error, ValueError, TypeError):
        found.append((where, "this is not base64"))


def _process(given: Any, where: Path, found: Findings) -> None:
    if type(given) is not dict or tuple(given) != _PROCESS:
        found.append((where, "an object of cwd, env and args, in this order, is needed"))
        return
    cwd, env, args = (given[key] for key in _PROCESS)
    _text(cwd, (*where, "cwd"), found)
    if type(cwd) is str and not cwd.startswith("/"):
        found.append(((*where, "cwd"), f"found {shown(cwd)}; it starts with /"))
    if type(args) is not list or not args or args[0] == "":
        found.append(((*where, "args"), "a list is needed that starts with the program"))
    else:
        for i, item in enumerate(args):
            _text(item, (*where, "args", i), found)
    if type(env) is not dict:
        found.append(((*where, "env"), f"found {shown(env)}; an object is needed"))
        return
    for name, item in env.items():
        place = (*where, "env", name)
        if not values.is_name(name):
            found.append((place, f"{shown(name)} is no name of a variable"))
        elif name.startswith(tuple(RESERVED_ENV["prefixes"])):
            found.append((place, f"libkrun's init takes {name} for itself"))
        if type(item) is dict:
            secrets.check(item, place, found)
        else:
            _text(item, place, found)


def _text(value: Any, path: Path, found: Findings) -> None:
    if values.text(value, {}, path, found) and not readable(value):
        found.append((path, f"found {shown(value)}; {GUEST_CONFIGURATION['doc']}"))


def readable(text: str) -> bool:
    """Whether libkrun's init reads TEXT from its configuration file as it is."""
    return all(c >= " " or c in GUEST_CONFIGURATION["controls"] for c in text)


def resolve(
    value: dict[str, Any],
    absolute: str,
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Content:
    """A verified content; ABSOLUTE is the path of a file. Without GIVEN secrets stay unknown; what
    is wrong with them is appended to FOUND."""
    from krunc_launcher.resolve.resolve import Content

    ((kind, content),) = value.items()
    if kind == "text":
        return Content(content.encode("utf-8"), content)
    if kind == "base64":
        from binascii import a2b_base64

        data = a2b_base64(content)
        return Content(data, f"{len(data)} bytes")
    if kind == "file":
        return Content(None, "", absolute)
    open_text = _configuration(content, None, where, found)
    secret = any(type(text) is dict for text in content["env"].values())
    if given is None or not secret:
        return Content(open_text.encode("utf-8"), open_text, secret=secret)
    closed = _configuration(content, given, where, found)
    return Content(closed.encode("utf-8"), open_text, secret=True)


def _configuration(
    process: dict[str, Any], given: Reader | None, where: Path, found: Findings
) -> str:
    """The file's text. init's reader is confused by other keys, another order and \\u escapes."""
    from _json import encode_basestring

    env = []
    for name, text in process["env"].items():
        if type(text) is dict:
            item, place = text, (*where, "process", "env", name)
            text = secrets.shown(item)
            if given is not None:
                text = given(item, place, found) or ""
                if not readable(text) or not _encodable(text):
                    sentence = f"the value of {secrets.shown(item)} cannot reach the guest"
                    found.append((place, f"{sentence}; {GUEST_CONFIGURATION['doc']}"))
                    text = ""
        env.append(encode_basestring(f"{name}={text}"))
    args = map(encode_basestring, process["args"])
    cwd = encode_basestring(process["cwd"])
    return f'{{"cwd": {cwd}, "env": [{", ".join(env)}], "args": [{", ".join(args)}]}}'


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
