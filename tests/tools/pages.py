"""The README and the pages: their blocks, how each kind of block is held, and how one is run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from places import ROOT

# What is written by a program is held by the test of that program.
GENERATED = {
    *("box.md", "cli.md", "plan.md"),
    *("findings.md", "importing.md", "libkrun.md", "review-demo.md"),
}
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if path.name not in GENERATED
]

# Every kind of block, as "language marker", and how it is held. A marker is a comment on the line
# before the block, <!-- block: boot -->. A kind that is not here is an error.
HELD = {
    "console": "run in the page's directory, and its output compared",
    "console boot": "run in the emulated host, and its output compared",
    "yaml": "a box compiles, a policy fits its schema, all else is YAML",
    "yaml part": "a part of a box: its keys are known to the schema",
    "json": "JSON",
    "python": "compiles",
    "text": "what no program reads: no command",
    "ini": "held by the test that the marker names",
    "markdown": "what no program reads: no command",
    "lua": "read by another program",
}
# Why a console block is not run. What it says to krunc is still held against krunc's options.
NOT_RUN = {
    "registry": "fetches from a registry",
    "network": "fetches packages",
    "engine": "needs a container engine, systemd, Slurm, a cluster or Nomad",
    "terminal": "needs a terminal or another program beside it",
    "host": "tells of this host, or needs what it may not have",
    "elsewhere": "names files that the page does not make; other tests run such commands",
}


class Block(NamedTuple):
    """A fenced block: where it stands, its language, its marker and its text."""

    page: Path
    line: int
    language: str
    marker: str
    text: str

    @property
    def kind(self) -> str:
        """Its key in the tables above."""
        return f"{self.language} {self.marker}".strip()

    @property
    def runs(self) -> bool:
        """Whether its commands are run here or in the emulated host."""
        return self.kind in ("console", "console boot")


class Command(NamedTuple):
    """A command of a console block, and the output that stands below it."""

    text: str
    output: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of PAGE, in their order."""
    found = re.finditer(
        r"^(?:<!-- block: (?P<marker>[^>]*?) -->\n)?(?P<fence>```+)(?P<language>[^\n]*)\n"
        r"(?P<text>.*?)^(?P=fence)$",
        page.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return [
        Block(
            page,
            one.string.count("\n", 0, one.start("text")),
            one["language"],
            one["marker"] or "",
            one["text"],
        )
        for one in found
    ]


def file_of(block: Block) -> str | None:
    """The file that a reader writes the block into: its first line is a comment with the name."""
    found = re.match(r"# ([\w./-]+\.\w+)\n", block.text)
    return found[1] if found else None


def commands(block: Block) -> list[Command]:
    """The commands of a console block: lines after `$ `, with the lines that continue them."""
    made: list[Command] = []
    lines = iter(block.text.splitlines(keepends=True))
    for line in lines:
        if line.startswith("$ "):
            text = line[2:]
            while text.endswith("\\\n"):
                text += next(lines)
            if ended := re.search(r"<<'(\w+)'", text):
                while not text.endswith(f"\n{ended[1]}\n"):
                    text += next(lines)
            made.append(Command(text, ""))
        else:
            assert made, f"{block.page.name}:{block.line}: output before a command"
            made[-1] = Command(made[-1].text, made[-1].output + line)
    return made


_END = "\x1e"


def script(block: Block) -> str:
    """A shell script that runs the commands of BLOCK and marks the end and status of each."""
    return "exec 2>&1\n" + "".join(
        f"{one.text}_s=$?; printf '{_END}%s\\n' \"$_s\"; (exit $_s)\n" for one in commands(block)
    )


def outputs(block: Block, printed: str) -> Iterator[tuple[Command, str]]:
    """The commands of BLOCK, each with what it printed. One that fails is followed by `echo $?`."""
    found = commands(block)
    parts = re.split(rf"{_END}(\d+)\n", printed)
    assert len(parts) == 2 * len(found) + 1, f"{block.page.name}:{block.line}: {printed}"
    for number, one in enumerate(found):
        told = found[number + 1 : number + 2]
        asked = told and told[0].text == "echo $?\n"
        status = parts[2 * number + 1]
        assert status == "0" or asked, f"{block.page.name}:{block.line}: {one.text}{parts}"
        yield one, parts[2 * number]


def fits(expected: str, printed: str) -> bool:
    """Whether PRINTED is EXPECTED: `...` is anything in a line, and any lines where it is alone."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "...\n" else r".*".join(map(re.escape, line.split("...")))
        for line in expected.splitlines(keepends=True)
    )
    return re.fullmatch(pattern, printed) is not None


def run(
    page: Path, directory: Path, shells: Mapping[str, Callable[[str], str]], update: bool
) -> None:
    """Write the files of PAGE into DIRECTORY and run its blocks in their order.

    SHELLS runs a script, by the block's marker; a block that has none is left out. With UPDATE the
    page gets the output that does not fit; one with `...` has to be changed by hand.
    """
    text = page.read_text("utf-8")
    wrong: list[str] = []
    for block in blocks(page):
        name = file_of(block)
        if name is not None and not block.marker:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(block.text, "utf-8")
        if not block.runs or block.marker not in shells:
            continue
        shown = ""
        for one, printed in outputs(block, shells[block.marker](script(block))):
            good = fits(one.output, printed)
            changes = update and not good and "..." not in one.output
            shown += f"$ {one.text}{printed if changes else one.output}"
            if not good and not changes:
                wrong.append(f"{page.name}:{block.line}: $ {one.text}{printed}")
        text = text.replace(f"```console\n{block.text}```", f"```console\n{shown}```", 1)
    if update:
        page.write_text(text, "utf-8")
    assert not wrong, "\n".join(wrong)


def environment(home: Path) -> dict[str, str]:
    """What a reader's shell has: a krunc, a git that knows its user, nothing of this one."""
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = me\n\temail = me@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "COLUMNS": "80",
    }
