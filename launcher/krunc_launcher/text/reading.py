"""A plan's bytes to plain values; no value is believed yet.

json's scanner in C gives the quick yes. Its partner for the why is json_errors, which is imported
only after a no; tests/launcher/plan/test_plan_text.py holds the two equal.
"""

from __future__ import annotations

import sys
from _json import make_scanner

from krunc_launcher import system
from krunc_launcher._rules import LIMITS
from krunc_launcher.errors import LaunchError, PlanRefused, plain, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANKS = " \t\r\n"
_NESTED = (dict, list)
_STREAMS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def read(path: str) -> str:
    """Return the text of the plan in the file PATH, or on standard input for -.

    Raises LaunchError when it cannot be read and PlanRefused when it is too long or not UTF-8.
    """
    most = LIMITS["plan_bytes"]
    try:
        data = start(path, most + 1)
    except OSError as error:
        raise LaunchError(f"{plain(path)}: the plan cannot be read: {why(error)}") from None
    return text_of(data)


def text_of(data: bytes) -> str:
    """Return the text of a plan with the bytes DATA; raises PlanRefused as `read` does."""
    most = LIMITS["plan_bytes"]
    if len(data) > most:
        raise PlanRefused([((), f"the plan has more than {most} bytes")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8")) + 1
        raise PlanRefused([((), "this is not UTF-8")], (line, column)) from None


def directory(path: str) -> str:
    """Tell where relative paths of the plan in the file PATH start: its directory, if it is in
    one."""
    return "." if path == "-" or is_stream(path) else system.dirname(path) or "."


def title(path: str) -> str:
    """Tell what a person calls the plan in the file PATH: one made on the way has no file."""
    if is_stream(path):
        try:
            link = system.readlink(path)
        except OSError:
            return path
        if link.startswith("/memfd:"):
            return link.removeprefix("/memfd:").removesuffix(" (deleted)")
    return path


def start(path: str, most: int) -> bytes:
    """Read the first MOST bytes of what the user names: a regular file, or a stream that is handed
    down. Raises OSError."""
    with open(opened(path), "rb") as file:
        return file.read(most)


def is_stream(path: str) -> bool:
    """Tell whether PATH is a stream that is handed down, so that it has no name of its own."""
    return path.startswith(_STREAMS)


def opened(path: str) -> int:
    """Open what the user names, as `start` reads it. Raises OSError."""
    if path in ("-", "/dev/stdin"):
        return system.dup(0)
    # A FIFO or a device could keep the launcher waiting, or never end.
    handle = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    mode = system.fstat(handle).st_mode
    if is_stream(path):
        system.set_blocking(handle, True)
    elif not system.S_ISREG(mode):
        system.close(handle)
        raise OSError("it is a directory" if system.S_ISDIR(mode) else "it is not a regular file")
    return handle


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError
    return result


def _whole(text: str) -> int:
    if len(text) > LIMITS["plan_digits"]:
        raise ValueError
    return int(text)


def _no_number(text: str) -> Any:
    raise ValueError


# What json's scanner in C asks for: types.SimpleNamespace, which is not imported for it. Its
# refusals have no words: json_errors finds them.
_NAMESPACE: Any = type(sys.implementation)
_CONTEXT: Any = _NAMESPACE(
    strict=True,
    object_hook=None,
    object_pairs_hook=_object,
    parse_int=_whole,
    parse_float=_no_number,
    parse_constant=_no_number,
)


def parse(text: str, may_be_deep: bool = False) -> Any:
    """Return the JSON value of TEXT: no key twice, only whole numbers, nothing behind it. Only one
    that is short and MAY_BE_DEEP is nested too deep: `verify` takes none. Raises PlanRefused."""
    start = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = make_scanner(_CONTEXT)(text, start)
    except (StopIteration, ValueError, RecursionError, SystemError):
        # SystemError: the scanner has something to say, for which it would need json.decoder.
        raise _refused(text) from None
    # A value takes two characters or more, so few texts need counting: what was found shallow.
    counts = len(text) > 2 * LIMITS["plan_values"]
    if text[end:].strip(_BLANKS) or ((counts or not may_be_deep) and _is_too_deep(value)):
        raise _refused(text)
    if counts and _count(value) > LIMITS["plan_values"]:
        raise PlanRefused([((), f"the plan has more than {LIMITS['plan_values']} values")])
    return value


def _refused(text: str) -> PlanRefused:
    from krunc_launcher.text.json_errors import flaw
    from krunc_launcher.text.positions import place

    found = flaw(text)
    return PlanRefused([((), found.sentence)], place(text, found.offset))


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(LIMITS["plan_depth"]):
        if not level:
            break
        held = [one for one in level if type(one) in _NESTED]
        level = []
        for one in held:
            level += one.values() if type(one) is dict else one
    return bool(level)


def _count(value: Any) -> int:
    """Return the values in VALUE, not too deep, itself and the keys of objects among them."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1
