"""The contents that a plan gives libkrun as bytes, with the secrets in them."""

from __future__ import annotations

from krunc_launcher._rules import GUEST_CONFIGURATION
from krunc_launcher.errors import plain
from krunc_launcher.paths import absolute
from krunc_launcher.plan import secrets
from krunc_launcher.plan.contents import readable
from krunc_launcher.resolve.operation import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.text import Findings, Path
    from krunc_launcher.resolve.secrets import Reader


def resolve(
    value: dict[str, Any],
    directories: Directories,
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Content:
    """Return a verified content, a file one of DIRECTORIES. Without GIVEN secrets stay unknown;
    what is wrong with them is appended to FOUND."""
    ((kind, content),) = value.items()
    if kind == "text":
        return Content(content.encode("utf-8"), content)
    if kind == "base64":
        from binascii import a2b_base64

        data = a2b_base64(content)
        return Content(data, f"{len(data)} bytes")
    if kind == "file":
        return Content(None, "", absolute(content, directories), directories=directories)
    open_text = _configuration(content, None, where, found)
    secret = any(type(text) is dict for text in content["env"].values())
    if given is None or not secret:
        return Content(open_text.encode("utf-8"), open_text, secret=secret)
    closed = _configuration(content, given, where, found)
    return Content(closed.encode("utf-8"), open_text, secret=True)


def _configuration(
    process: dict[str, Any], given: Reader | None, where: Path, found: Findings
) -> str:
    """Return the file's text. init's reader takes no other keys or order, and no \\u escapes."""
    from _json import encode_basestring

    env = []
    for name, item in process["env"].items():
        text = secrets.shown(item) if type(item) is dict else item
        if type(item) is dict and given is not None:
            place = (*where, "process", "env", name)
            text = given(item, place, found) or ""
            if not readable(text) or not _encodable(text):
                sentence = f"the value of {plain(secrets.shown(item))} cannot reach the guest"
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
