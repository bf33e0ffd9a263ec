"""krunc completion, in the shells that it is for."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from krunc.completion import Verb, _verb
from krunc_compiler.usage import VERBS

# What is typed, and words that are offered for its last one.
TYPED = {
    "krunc co": ["compile", "completion"],
    "krunc --ver": ["--version"],
    "krunc compile --wa": ["--warnings-as-errors"],
    "krunc compile --format ": ["github", "json", "sarif", "text"],
    "krunc check --format=ju": ["junit"],
    "krunc show --ef": ["--effective"],
    "krunc launch --dr": ["--dry-run"],
    "krunc launch --ta": ["--target"],
    "krunc doctor --j": ["--json"],
    "krunc init --kind a": ["agent"],
    "krunc schema pl": ["plan"],
    "krunc explain KR60": [f"KR60{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9)],
    "krunc completion f": ["fish"],
    "krunc compile b": ["box.yaml"],
}
# What a shell does around the function: readline cuts the line into words, = among them, and offers files when a function offers nothing.
BASH = """\
source ./script
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_krunc
[ "${{#COMPREPLY[@]}}" -gt 0 ] || COMPREPLY=($(compgen -f -- "${{COMP_WORDS[-1]}}"))
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p krunc >&2
"""
ZSH = """\
autoload -Uz compinit && compinit -u -D
source ./script
emulate sh
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_krunc
[ "${{#COMPREPLY[@]}}" -gt 0 ] || COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@cache
def script(shell: str) -> str:
    """What krunc completion prints."""
    made = [sys.executable, "-m", "krunc", "completion", shell]
    return subprocess.run(made, capture_output=True, text=True, check=True).stdout


def offered(shell: str, typed: str, directory: Path) -> list[str]:
    """The words that SHELL offers for what is TYPED."""
    (directory / "script").write_text(script(shell))
    (directory / "box.yaml").touch()
    if shell == "fish":
        commands = f"source ./script; complete -C '{typed}'"
    else:
        words = " ".join(f"'{word}'" for word in typed.replace("=", " = ").split(" "))
        commands = (BASH if shell == "bash" else ZSH).format(words=words)
    done = subprocess.run(
        [shell, "-c", commands],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell != "bash" or done.stderr == "complete -o default -F _krunc krunc\n"
    lines = [line.split("\t")[0] for line in done.stdout.splitlines()]
    last = typed.replace("=", " ").split(" ")[-1]
    # zsh itself drops what does not start with what is typed.
    return sorted(word for line in lines if (word := line.rpartition("=")[2]).startswith(last))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("typed", "words"), TYPED.items(), ids=TYPED)
def test_words_are_offered(shell: str, typed: str, words: list[str], tmp_path: Path) -> None:
    assert offered(shell, typed, tmp_path) == words


@pytest.mark.parametrize("name", VERBS)
def test_every_option_of_the_help_is_known(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "krunc", name, "--help"], capture_output=True, text=True, check=True
    )
    told = set(re.findall(r"(?m)^  (?:-\w, |-o \S+, )?(--[a-z-]+)", done.stdout))
    found = _verb(name)
    assert isinstance(found, Verb)
    assert told <= set(found.options)
    assert "--help" in told
    assert "examples:\n" in done.stdout
    assert done.stdout.startswith(f"usage: krunc {name} ")
