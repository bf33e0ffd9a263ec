"""The text of an input: a file or standard input, UTF-8, of a sensible size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import EAGAIN, EBADF

from krunc_compiler.files.contents import contents, given
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Finding, Source, Span, reject
from krunc_compiler.findings.wording import why

# Far above any real box or plan; it bounds time and memory for hostile ones.
MAX_BYTES = 1 << 20


def read(path: str, within: Within = ANYWHERE) -> tuple[str, str]:
    """Return the name under which PATH is reported, and its text; - is standard input.

    Raises Rejected when it cannot be read, or is not WITHIN what may be read.
    """
    within.admit(path)
    name = "<stdin>" if path == "-" else path
    return name, _text(name, given if path != "-" else _standard_input)


def read_file(path: str, within: Within = ANYWHERE) -> str:
    """Return the text of the regular file PATH, which a box names.

    Raises Rejected when it cannot be read, or is not WITHIN what may be read.
    """
    path = f"./{path}" if path == "-" else path
    within.admit(path)
    return _text(path, contents)


def _text(name: str, reads: Callable[[str, int], bytes]) -> str:
    try:
        data = reads(name, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        said = "no file can have such a name"  # a ValueError, whose words differ between Pythons
        if isinstance(error, OSError):
            said = why(error)
        finding = Finding("KR001", f"the file cannot be read: {said}")
        raise reject(Source(name, "", {}), [finding]) from None
    return decode(name, data)


def _standard_input(_: str, most: int) -> bytes:
    if sys.stdin is None:  # whoever started krunc has closed it
        raise OSError(EBADF, "standard input is closed")
    data: bytes | None = sys.stdin.buffer.read(most)
    if data is None:
        raise OSError(EAGAIN, "standard input does not wait for its writer")
    return data


def decode(name: str, data: bytes) -> str:
    """Return the text of a file; raises Rejected when it is too long or not UTF-8."""
    if len(data) > MAX_BYTES:
        raise reject(
            Source(name, "", {}),
            [
                Finding(
                    "KR001",
                    f"the file has more than {MAX_BYTES:,} bytes",
                    hint="check that this is the right file: a box is a short text",
                )
            ],
        )
    try:
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1)
        raise reject(
            Source(name, "", {}),
            [
                Finding(
                    "KR002",
                    f"byte 0x{data[error.start]:02x} is not UTF-8",
                    hint="save the file as UTF-8",
                    span=Span(line, column, line, column + 1),
                )
            ],
        ) from None
