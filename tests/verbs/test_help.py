"""Help: one layout for all commands, and every argument and option is described."""

from __future__ import annotations

import re

import pytest
from krunc.completion import main as completion
from krunc_compiler.__main__ import OF_OTHERS, main, verb_parser
from krunc_compiler.usage import HELP, VERBS
from krunc_launcher.__main__ import main as launcher

COLUMN = 21
TOOLS = [f"import {tool}" for tool in ("boxlite", "compose", "docker-run", "oci")]


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    words = command.split()
    if words[0] in ("launch", "doctor"):
        launcher([*words[words[0] == "launch" :], "--help"])
    else:
        run = completion if words[0] == "completion" else main
        with pytest.raises(SystemExit, match="0"):
            run([*words[words[0] == "completion" :], "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [*VERBS, *TOOLS])
def test_one_layout(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = help_of(command, capsys)
    paragraphs = told.split("\n\n")
    assert paragraphs[0].startswith(f"usage: krunc {command} ")
    assert "[option...]" in paragraphs[0]
    assert re.match(r"[A-Z](.|\n)*\.\Z", paragraphs[1])
    heads = [
        part.partition("\n")[0] for part in paragraphs[2:] if part.partition("\n")[0][-1] == ":"
    ]
    assert heads[:2] == ["arguments:", "options:"]
    assert "examples:" in heads
    assert "-h, --help" in told
    for head in ("arguments:", "options:"):
        rows = next(part for part in paragraphs if part.startswith(f"{head}\n")).splitlines()[1:]
        described(rows)


def described(rows: list[str]) -> None:
    """Each row has its name at column 2 and its text at column 21, beside or below it."""
    waiting = ""
    for row in rows:
        name, text = row[:COLUMN].strip(), row[COLUMN:]
        if row[:4] == "    " and row[4] != " ":
            continue  # a tool of import
        if re.match(r"  \S", row):
            assert not waiting, f"{waiting} is not described"
            waiting = row.strip()
            if row[COLUMN - 2 : COLUMN] == "  " and text:
                waiting = ""
        else:
            assert not name, row
            assert text[:1] not in ("", " "), row
            waiting = ""
    assert not waiting, f"{waiting} is not described"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in OF_OTHERS])
def test_every_argument_is_described(verb: str) -> None:
    for action in verb_parser(verb)._actions:
        assert action.help, action


def test_no_command_at_all_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert capsys.readouterr() == ("", HELP)


@pytest.mark.parametrize(
    "words", [["compile"], ["compile", "--wrong"], ["show", "--box"], ["import"]]
)
def test_wrong_usage_is_one_line_with_a_way_out(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"krunc {words[0]}: ")
    assert line.endswith(f"; see krunc {words[0]} --help")
