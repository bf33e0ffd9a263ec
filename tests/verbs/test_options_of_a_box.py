"""An option of other tools, given to a command of krunc's: it names the key by which a box has it, as
krunc launch does; an option that is nearly krunc's own is guessed at."""

from __future__ import annotations

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.shape.box_options import of_option
from krunc_launcher._box_options import BOX_OPTIONS

OPTIONS = ("--memory", "--mem", "-m", "--cpus", "-p", "--publish", "--network", "--env", "-v",
           "--hostname", "--user", "--ulimit", "--kernel")  # fmt: skip


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["compile", "check", "show", "diff", "pull"])
@pytest.mark.parametrize("option", OPTIONS)
def test_the_key_is_named(option: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    two = ["x.yaml"] * (2 if command == "diff" else 1)
    for words in ([*two, option, "2"], [option, "2", *two], [f"{option}=2", *two]):
        if option == "-m" and "=" in words[0]:
            continue
        told = said([command, *words], capsys)
        assert told.startswith(f"krunc {command}: unrecognized arguments: {option}")
        assert told.endswith(f"; {BOX_OPTIONS[option]}; see krunc {command} --help\n")
        assert "its box has it, as " in told


def test_both_halves_have_the_same_table() -> None:
    for option, advice in BOX_OPTIONS.items():
        assert of_option(option) in (advice, "")
        assert bool(of_option(option)) == advice.startswith("its box has it")
    assert of_option("--nonsense") == ""


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["compile", "--targt", "1", "x.yaml"], "did you mean --target?"),
        (["compile", "--detach", "x.yaml"], ""),  # of a launch alone
        (["import", "docker-run", "--memory", "2G", "x"], ""),  # a word of that command
    ],
)
def test_what_is_no_key(words: list[str], guess: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(words, capsys)
    assert "its box has it" not in told
    assert guess in told
