"""Scripts of a box: for which interpreter they are, and whether YAML joined their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from krunc_compiler.box.box import Box
from krunc_compiler.findings.finding import Finding, Path, Source
from krunc_compiler.findings.report import LINE_END

# Shells that take what sh takes, as sh.
_SHELLS = ("sh", "dash", "ash")
# How an interpreter takes a program as an argument; most as -c.
_OF_TEXT = {"perl": "-e", "ruby": "-e", "node": "-e", "nodejs": "-e", "php": "-r", "lua": "-e"}
# A line that goes on with the command before it, and one with which a command goes on, or ends.
_GOES_ON = r"[-|&;<>)}]|[0-9]>"
_IS_GONE_ON = r"(?:&&|[|;({]|(?:^|\s)(?:do|then|else))$"
# What may stand before a string, but for its own mark.
_PROPERTIES = r"(?:[&!]\S*\s+)*"
_SHOWN = 24


def check(box: Box) -> Iterator[Finding]:
    """Yield each script of BOX that is for another interpreter than the guest's /bin/sh."""
    for key, script in _scripts(box):
        if script.startswith("#!"):
            yield from _of_another(script, ("entrypoint", key))


def are_in(box: Box) -> bool:
    """Tell whether BOX has a script; most have none."""
    return box.entrypoint.script is not None or box.entrypoint.before is not None


def _scripts(box: Box) -> Iterator[tuple[str, str]]:
    program = box.entrypoint
    for key, script in (("script", program.script), ("before", program.before)):
        if script is not None:
            yield key, script


def _of_another(script: str, where: Path) -> Iterator[Finding]:
    line = script.partition("\n")[0]
    words = line[2:].split()
    if words and words[0].endswith("/env"):
        of_env = (word.startswith("-") or "=" in word for word in words[1:])
        words = words[1 + next((i for i, own in enumerate(of_env) if not own), len(words)) :]
    words = words or ["sh"]
    name = words[0].rpartition("/")[2]
    if name == "busybox":
        words = words[1:] or ["sh"]
        name = words[0]
    if name in _SHELLS and not words[1:]:
        return
    if name in _SHELLS:
        hint = f"remove the line, and write its options as a command: set {' '.join(words[1:])}"
    elif where[-1] == "before":
        hint = f"remove the line and write it for sh, which can start {name} in turn"
    else:
        path = words[0] if words[0].startswith("/") else f"/usr/bin/{name}"
        way = _OF_TEXT.get(name, "-c")
        hint = f"write executable: {path}, args: [{way}, TEXT] with this text instead of script"
    yield Finding(
        "KR851",
        f"the first line, {line[:60]!r}, is a comment to /bin/sh, which runs this",
        where,
        hint=hint,
    )


def joined(box: Box, source: Source) -> Iterator[Finding]:
    """Yield each script of BOX, which SOURCE has, whose lines YAML made one by folding."""
    for key, _ in _scripts(box):
        where: Path = ("entrypoint", key)
        place = source.places.get(where)
        if place is None or not box.origin(*where) or place.value.line == place.value.end_line:
            continue
        start, column, end, end_column = place.value
        lines = re.split(LINE_END, (place.source or source).text)[start : end + 1]
        lines[-1] = lines[-1][:end_column]
        lines[0] = re.sub(f"^{_PROPERTIES}", "", lines[0][column:])
        text = box.written["entrypoint"][key]
        for one, other in _folds(lines):
            # Quotes have escapes; all else is in the string as it is written.
            if (lines[0][:1] in "\"'" or f"{one} {other}" in text) and _is_cut(one, other):
                first, second = (text[:_SHOWN] for text in (one, other))
                yield Finding(
                    "KR852",
                    f"YAML makes one line of {first!r} and {second!r}",
                    where,
                    hint=f"write `{key}: |`, which keeps the lines; one command over several has "
                    "\\ at the end of each but its last",
                    at_key=True,
                )
                break


def _folds(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each two lines of a string in YAML that become one; LINES begin with its first
    character."""
    mark = lines[0][:1]
    if mark == "|":
        return
    lines = lines[1:] if mark == ">" else lines
    indent = next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), 0)
    for above, below in pairwise(lines):
        if not above.strip() or not below.strip():
            continue
        # In a block a line that is further to the right keeps its ends; one further to the left
        # is behind the block.
        if mark == ">" and any(_indent(line) != indent for line in (above, below)):
            continue
        one = above.strip() if mark != ">" else above.lstrip()
        if mark == '"' and re.search(r"\\n?$", one):
            continue
        quote = mark if mark in "\"'" else ""
        yield one.removeprefix(quote), below.strip().removesuffix(quote)


def _indent(line: str) -> int:
    width = len(line) - len(line.lstrip(" "))
    return width + (line[width : width + 1] == "\t")


def _is_cut(one: str, other: str) -> bool:
    """Tell whether the end of the line ONE was meant as the end of a command, as far as it and
    the OTHER behind it tell."""
    if one.startswith("#") or " #" in one or other.startswith("#"):
        return True
    return not (re.match(_GOES_ON, other) or re.search(_IS_GONE_ON, one.rstrip()))
