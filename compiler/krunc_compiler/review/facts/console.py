"""Consoles, and where they lead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts.storage import access
from krunc_compiler.review.facts.streams import stream
from krunc_compiler.review.words import word


def on_stdio(row: Row) -> Iterator[Fact]:
    """Yield libkrun's own console."""
    text = "the launcher's stdin, stdout and stderr"
    yield row.fact("console", "console", text)
    reach = [Reach("stdio", "stream", name) for name in ("stdin", "stdout", "stderr")]
    yield row.fact("stdio", "console", f"{text} (console)", *reach)


def output(row: Row) -> Iterator[Fact]:
    """Yield the console's output in a file."""
    path = row.args["filepath"]
    yield row.fact("console", "console", f"the file {word(path)}, no input")
    kind, reach = access("file", path, False)
    yield row.fact(kind, "console", f"file {word(path)} (console)", *reach)


def descriptors(row: Row) -> Iterator[Fact]:
    """Yield a console, or a port of one, over descriptors."""
    used = [value for name, value in row.args.items() if name.endswith("_fd") and value != "none"]
    name = row.args.get("name")
    label = ("console port", name) if isinstance(name, str) else (_label(row),)
    # stdout and stderr are often one.
    leads = list(dict.fromkeys(stream(row, value) for value in used))
    shown = f"{word(name)}: " if isinstance(name, str) else ""
    form = "a serial port on " if "serial" in row.name else ""
    if row.args.get("console_id"):
        shown = f"console {word(str(row.args['console_id']))}, {shown}"
    yield row.fact("console", label, shown + form + (_and(leads) or "nothing") + row.known_as())
    reach = [_reach(row, value) for value in used if not isinstance(value, dict)]
    if reach:
        own = list(dict.fromkeys(stream(row, one) for one in used if not isinstance(one, dict)))
        yield row.fact("stdio", label, f"{_and(own)} (console)", *reach)


def _label(row: Row) -> str:
    return "serial console" if "serial" in row.name else "console"


def _reach(row: Row, value: Any) -> Reach:
    named = isinstance(value, str)
    return Reach("stdio", "stream" if named else "descriptor", value if named else f"fd {value}")


def _and(leads: list[str]) -> str:
    streams = [text.removeprefix("the launcher's ") for text in leads]
    if len(leads) > 1 and all(text.startswith("the launcher's ") for text in leads):
        return "the launcher's " + ", ".join(streams[:-1]) + " and " + streams[-1]
    return ", ".join(leads)


def kernel_console(row: Row) -> Iterator[Fact]:
    """Tell which console the guest kernel speaks on."""
    text = f"the kernel's is {word(row.args['console_id'])}"
    yield row.fact("console", "kernel console", text)
