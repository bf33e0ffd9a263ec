"""A plan's bytes to plain values; no value is believed yet."""

from __future__ import annotations

import os
import stat
from _json import make_scanner

from krunc_launcher._rules import LIMITS
from krunc_launcher.errors import LaunchError, PlanRefused, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANKS = " \t\r\n"
_MAX_DIGITS = 20


def read(path: str) -> str:
    """The text of the plan in the file PATH, or on standard input for -.

    Raises LaunchError when it cannot be read and PlanRefused when it is too long or not UTF-8.
    """
    most = LIMITS["plan_bytes"]
    try:
        if path == "-":
            handle = os.dup(0)
        else:
            # A FIFO or a device could keep the launcher waiting, or never end.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode) and not path.startswith("/dev/fd/"):
                os.close(handle)
                kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
                raise LaunchError(f"{plain(path)}: this is {kind}, not a plan")
        with open(handle, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise LaunchError(f"{plain(path)}: the plan cannot be read: {why}") from None
    if len(data) > most:
        raise PlanRefused([((), f"the plan has more than {most} bytes")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PlanRefused([((), f"line {line} is not UTF-8")]) from None


class _Context:
    """What json's scanner in C asks for; each refusal is a ValueError with a sentence."""

    strict = True
    object_hook = None

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}

    @staticmethod
    def object_pairs_hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {plain(twice)!r} stands twice in one object")
        return result

    @staticmethod
    def parse_float(text: str) -> Any:
        raise ValueError(f"{text[:_MAX_DIGITS]} is not a whole number")

    @staticmethod
    def parse_int(text: str) -> int:
        if len(text) > _MAX_DIGITS + 1:
            raise ValueError(f"a number has more than {_MAX_DIGITS} digits")
        return int(text)

    @staticmethod
    def parse_constant(text: str) -> Any:
        raise ValueError(f"{text} is not a number")


def parse(text: str) -> Any:
    """The JSON value of TEXT: no key twice, only whole numbers, nothing behind it.

    Raises PlanRefused.
    """
    start = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise PlanRefused(
            [((), f"this is not JSON: no value at {_place(text, stop.value)}")]
        ) from None
    except RecursionError:
        raise PlanRefused([((), "the plan is nested too deeply")]) from None
    except ValueError as error:
        # json.JSONDecodeError has a position; our own refusals have none.
        position = getattr(error, "pos", None)
        why = getattr(error, "msg", str(error))
        where = "" if position is None else f" at {_place(text, position)}"
        raise PlanRefused([((), f"this is not a plan: {why}{where}")]) from None
    rest = text[end:].lstrip(_BLANKS)
    if rest:
        where = _place(text, len(text) - len(rest))
        raise PlanRefused([((), f"something stands behind the plan at {where}")])
    if _depth(value, 1) > LIMITS["plan_depth"]:
        raise PlanRefused([((), "the plan is nested too deeply")])
    return value


def _scan(text: str, start: int) -> tuple[Any, int]:
    context: Any = _Context()
    try:
        return make_scanner(context)(text, start)
    except SystemError:
        # CPython's scanner finds json.JSONDecodeError only when json is imported already
        # (Modules/_json.c, raise_errmsg). Nobody pays for that import but a broken plan.
        import json  # noqa: F401

        return make_scanner(context)(text, start)


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def _depth(value: Any, level: int) -> int:
    if level > LIMITS["plan_depth"]:
        return level
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return max([_depth(item, level + 1) for item in value], default=level)
    return level
