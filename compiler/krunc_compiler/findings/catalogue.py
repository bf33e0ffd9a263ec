"""The catalogue of findings: what each code means, from krunc_schema/findings.json."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from krunc_schema import load


class Entry(NamedTuple):
    """One code; `bad` and `good` are boxes without the keys that do not matter, or commands."""

    code: str
    title: str
    what: str
    why: str
    way_out: str
    bad: str
    good: str
    warning: bool = False
    # Whether the finding stays true when other parts of the box are left out.
    holds_in_part: bool = False
    # Whether the finding depends on more than the box: other boxes of the run, or the host.
    depends_on_run: bool = False


@cache
def entries() -> dict[str, Entry]:
    """Return every entry by its code, in the order of the codes."""
    return {code: Entry(code, **row) for code, row in sorted(load("findings").items())}


def entry(code: str) -> Entry | None:
    """Return the entry of CODE, or None when there is no such code."""
    return entries().get(code)


def explained(item: Entry) -> str:
    """Return an entry for a terminal."""
    level = "warning" if item.warning else "error"
    parts = [
        f"{item.code} ({level}): {item.title}",
        f"{item.what} {item.why}",
        f"Fix: {item.way_out}",
        "Bad:\n" + _indented(item.bad),
        "Good:\n" + _indented(item.good),
    ]
    return "\n\n".join(parts) + "\n"


def listed() -> str:
    """Return all codes, one a line."""
    rows = entries().values()
    return "".join(
        f"{row.code}  {'warning' if row.warning else 'error  '}  {row.title}\n" for row in rows
    )


def page() -> str:
    """Return the page of all codes, in Markdown."""
    lines = [
        "# Findings",
        "",
        "Written by `python docs/generate_findings.py` from `schema/krunc_schema/findings.json`;",
        "change that file, not this page. `krunc explain CODE` prints one entry.",
        "",
        "| code | level | title |",
        "| --- | --- | --- |",
    ]
    for row in entries().values():
        level = "warning" if row.warning else "error"
        lines.append(f"| [{row.code}](#{row.code.lower()}) | {level} | {row.title} |")
    for row in entries().values():
        lines += ["", f"## {row.code}", "", f"**{row.title}.** {row.what} {row.why}", ""]
        lines += [f"Fix: {row.way_out}", "", "Bad:", "", _indented(row.bad), ""]
        lines += ["Good:", "", _indented(row.good)]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))
