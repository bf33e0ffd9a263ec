"""Writes docs/reference/cli.md from the help of all commands: python docs/generate_cli.py"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from krunc_compiler.usage import VERBS

PAGE = Path(__file__).parent / "reference" / "cli.md"
_HEAD = """\
# Commands

`docs/generate_cli.py` writes this page from the tables of which krunc makes its parser, `--help`,
and the shell completion. `krunc COMMAND --help` prints the same.

Results go to standard output, all else to standard error. `-` is standard input or output. The
value of an option is the next word, or follows `=`. `--` ends the options.

"""
# The commands with commands of their own.
_TOOLS = [f"import {tool}" for tool in ("docker-run", "compose", "oci", "boxlite")]
COMMANDS = [one for verb in VERBS for one in (verb, *(_TOOLS if verb == "import" else ()))]
# Where the text of a row begins in help.
_COLUMN = 21
_TITLES = {"arguments": "argument", "environment": "variable"}
# What is code in a sentence of help, which has no marks for it: commands and options with what
# follows them, and words with signs in them.
_CODE = re.compile(
    r"`[^`]*`|(?<![\w`$./-])(?:krunc [a-z][a-z-]*|--?[a-z][\w-]*)"
    r"(?: (?:--?[a-z][\w-]*|[A-Z]{2,}[/|A-Z]*(?![a-z])|\S+:HEX|[\w.]+\.(?:yaml|list)))*"
    r"|[~$./]?\S*[*_<>$~|{}\\=/]\S*"
)
_NAMES = re.compile(r"(?<=: )\w+(?:, \w+)*, \w*_\w+(?:, \w+)*$")
_PAGE = re.compile(r"docs/([a-z-]+\.md)")
_MARKS = ".,;:)"


def page() -> str:
    """The text of the page."""
    rows = [f"| [`krunc {name}`](#krunc-{name}) | {text} |\n" for name, text in VERBS.items()]
    parts = [_HEAD, "| command | what it does |\n| --- | --- |\n", *rows]
    return "".join([*parts, *(_section(command) for command in COMMANDS)])


@cache
def help_of(command: str) -> str:
    """What `krunc COMMAND --help` prints."""
    words = [sys.executable, "-m", "krunc", *command.split(), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _section(command: str) -> str:
    usage, about, *paragraphs = help_of(command).rstrip("\n").split("\n\n")
    lines = [line.removeprefix("usage:").strip() for line in usage.splitlines()]
    told = [f"\n{'###' if ' ' in command else '##'} krunc {command}\n", _prose(about)]
    told.append("```text\n" + "\n".join(lines) + "\n```\n")
    for paragraph in paragraphs:
        head, _, rest = paragraph.partition("\n")
        if head == "examples:":
            if " " not in command:  # those of a tool are the verb's
                told.append("Examples:\n\n```text\n" + _unindented(rest) + "\n```\n")
        elif head.endswith(":") and rest.startswith("  "):
            told.append(_table(head[:-1], rest.splitlines()))
        elif head.startswith("exit code"):
            told.append(_exit_codes(paragraph))
        elif " " not in command:
            told.append(_prose(paragraph))
    return "\n".join(told)


def _unindented(text: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in text.splitlines())


def _table(title: str, lines: list[str]) -> str:
    noun = _TITLES.get(title, title.replace("options", "option"))
    rows = [f"| `{_cell(name)}` | {_cell(_marked(text))} |\n" for name, text in _rows(lines)]
    does = "does" if noun.startswith("option") else "is"
    return f"| {noun} | what it {does} |\n| --- | --- |\n{''.join(rows)}"


def _rows(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with its text, which stands beside or below it."""
    name, texts = "", list[str]()
    for line in lines:
        if line[:_COLUMN].strip():
            if name:
                yield name, " ".join(texts)
            beside = line[_COLUMN - 2 : _COLUMN] == "  "
            name = (line[:_COLUMN] if beside else line).strip()
            texts = [line[_COLUMN:]] if beside else []
        else:
            texts.append(line.strip())
    if name:
        yield name, " ".join(texts)


def _exit_codes(paragraph: str) -> str:
    text = " ".join(paragraph.split()).partition(": ")[2]
    if not paragraph.startswith("exit codes"):  # a launch's are told in sentences
        told = (f"- {_marked(one)}\n" for one in text.split("; "))
        return "Exit code:\n\n" + "".join(told)
    rows = (one.partition(" ") for one in re.split(r", (?=\d+ )", text))
    cells = (f"| {code} | {_cell(_marked(meaning))} |\n" for code, _, meaning in rows)
    return "| exit code | meaning |\n| --- | --- |\n" + "".join(cells)


def _prose(paragraph: str) -> str:
    return _marked(" ".join(paragraph.split())) + "\n"


def _marked(text: str) -> str:
    """Return TEXT with what is code in it as code."""

    def code(found: re.Match[str]) -> str:
        word = found[0]
        if word.startswith("`"):
            return word
        bare = word.rstrip(_MARKS)
        if page := _PAGE.fullmatch(bare):
            return f"[{page[1]}](../{page[1]}){word[len(bare) :]}"
        return f"`{bare}`{word[len(bare) :]}"

    return _CODE.sub(code, _NAMES.sub(lambda found: re.sub(r"(\w+)", r"`\1`", found[0]), text))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
