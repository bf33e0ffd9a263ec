"""An argument that is an empty string, as of a shell's variable that is not set: each command names
it, and does nothing. Standing for nothing, it would be the default, the working directory, or all."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from krunc_compiler.__main__ import OF_OTHERS, main, verb_parser
from krunc_compiler.usage import VERBS
from krunc_launcher.__main__ import main as launcher
from krunc_launcher.options import DOCTOR, LAUNCH, OF_A_BOX

_FILLED = {"ENGINE": "systemd", "NAME": "box", "bash|zsh|fish": "bash"}


def parsers(
    parser: argparse.ArgumentParser, words: list[str]
) -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    """PARSER, or those of the tools below it, each with the WORDS that lead to it."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        yield words, parser
    for action in below:
        for name, inner in (action.choices or {}).items():
            yield from parsers(inner, [*words, name])


def arguments() -> Iterator[tuple[list[str], str]]:
    """Each argument of each command of the compiler, as an empty string, and its name."""
    for verb in VERBS:
        if verb in OF_OTHERS:
            continue
        for words, parser in parsers(verb_parser(verb), [verb]):
            own = [one for one in parser._actions if not one.option_strings]
            filled = [_FILLED.get(str(one.metavar), "absent") for one in own]
            for i, action in enumerate(own):
                if action.dest != "words":
                    empty = [*filled[:i], "", *filled[i + 1 :]]
                    yield [*words, *empty], str(action.metavar)
            for action in parser._actions:
                if action.nargs != 0:
                    for option in action.option_strings:
                        yield [*words, option, "", *filled], option
                        if option.startswith("--"):
                            yield [*words, f"{option}=", *filled], option


ALL = list(arguments())


def test_all_commands_are_tried() -> None:
    assert {words[0] for words, _ in ALL} == set(VERBS) - set(OF_OTHERS)
    assert ["prune", "--store", "", "absent"] in [words for words, _ in ALL]


@pytest.mark.parametrize(("words", "name"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_an_empty_argument_is_named(
    words: list[str], name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert name in told.err.split(" needs a value, got an empty string; see krunc")[0]
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [one.name for one in LAUNCH if one.value])
@pytest.mark.parametrize("form", ["apart", "="])
def test_an_empty_option_of_a_launch(
    option: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launcher([option, "", "x"] if form == "apart" else [f"{option}=", "x"]) == 2
    assert (
        capsys.readouterr().err
        == f"krunc launch: {option} needs a value; see krunc launch --help\n"
    )


@pytest.mark.parametrize(
    "words", [[""], ["--", ""], ["a", "", "--log-dir", "x"], ["--dry-run", ""], ["doctor", ""]]
)
def test_an_empty_plan_of_a_launch(
    words: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert launcher(words) == 2
    told = capsys.readouterr()
    assert "PLAN needs a value, got an empty string; see krunc " in told.err + told.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [one.name for one in OF_A_BOX])
def test_an_empty_option_of_a_box(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    from krunc.boxes import launch

    assert launch([option, "", "x.yaml"]) == 2
    assert f"{option} needs a value" in capsys.readouterr().err


def test_an_empty_word_of_another_tools_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "docker-run", "--", "docker", "run", "alpine", ""]) == 0
    assert 'args: [""]' in capsys.readouterr().out
    assert main(["import", "docker-run", ""]) == 1
    assert "got nothing" in capsys.readouterr().err


def test_options_of_doctor_that_are_empty() -> None:
    assert [one.name for one in DOCTOR if one.value] == ["--libkrun"]
    assert launcher(["doctor", "--libkrun", ""]) == 2
