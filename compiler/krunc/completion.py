"""krunc completion: what a shell needs to complete krunc's commands, made from the commands."""

from __future__ import annotations

import sys
from typing import NamedTuple

from krunc_compiler.__main__ import OF_OTHERS, Parser, verb_parser
from krunc_compiler.findings import catalogue
from krunc_compiler.usage import VERBS
from krunc_launcher.options import DOCTOR, LAUNCH, OF_A_BOX

_SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = """\
examples:
  source <(krunc completion bash)          in ~/.bashrc
  source <(krunc completion zsh)           in ~/.zshrc, after compinit
  krunc completion fish | source           in ~/.config/fish/config.fish

exit codes: 0 success, 2 usage error
"""


class Verb(NamedTuple):
    """What can follow a verb: words, and options with the words that can follow each.

    None follows a flag; no words mean a file, or what only the user knows.
    """

    words: tuple[str, ...]
    options: dict[str, tuple[str, ...] | None]


def main(argv: list[str]) -> int:
    """Print the completion for the shell that ARGV names."""
    parser = Parser(
        prog="krunc completion",
        description="Print the completion of krunc's commands for a shell.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "shell", choices=_SHELLS, metavar="|".join(_SHELLS), help="the shell that reads it"
    )
    parser.with_help()
    shell = parser.parse_args(argv).shell
    verbs = {name: _verb(name) for name in VERBS}
    sys.stdout.write(_fish(verbs) if shell == "fish" else _bash(verbs, shell == "zsh"))
    return 0


def _verb(name: str) -> Verb:
    if name == "completion":
        return Verb(_SHELLS, {"--help": None})
    if name in OF_OTHERS:
        table = (*LAUNCH, *OF_A_BOX) if name == "launch" else DOCTOR
        return Verb((), {option.name: () if option.value else None for option in table})
    found = Verb(tuple(catalogue.entries()) if name == "explain" else (), {})
    for action in verb_parser(name)._actions:
        choices = tuple(map(str, action.choices or ()))
        if not action.option_strings:
            found = found._replace(words=found.words + choices)
        parsers = action.choices.values() if isinstance(action.choices, dict) else ()
        for parser in parsers:  # of a verb that has verbs of its own
            if isinstance(parser, Parser):
                found.options.update(dict.fromkeys(_valued(parser), ()))
        for option in action.option_strings[-1:]:  # the long one
            found.options[option] = None if action.nargs == 0 else choices
    return found


def _valued(parser: Parser) -> list[str]:
    """Return the options of PARSER behind which a value stands."""
    options = (action.option_strings[-1:] for action in parser._actions if action.nargs != 0)
    return [option for names in options for option in names]


def _bash(verbs: dict[str, Verb], is_zsh: bool) -> str:
    """Completion with files where no words are known; zsh reads it too."""
    head = "autoload -U +X bashcompinit && bashcompinit\n" if is_zsh else ""
    lines = [f"{head}_krunc() {{", *_WORDS]
    for name, verb in verbs.items():
        for option, choices in verb.options.items():
            if choices is not None:
                lines.append(f"        '{name} {option}') words='{' '.join(choices)}' ;;")
    lines += ["        *) case $verb in"]
    for name, verb in verbs.items():
        options = " ".join(verb.options)
        words = " ".join(verb.words)
        lines.append(f"            {name}) options='{options}' words='{words}' ;;")
    lines += ["        esac ;;", "    esac", "    [[ $word != -* ]] || words=$options"]
    lines += ['    COMPREPLY=($(compgen -W "$words" -- "$word"))', "}"]
    return "\n".join([*lines, "complete -o default -F _krunc krunc"]) + "\n"


# --format=js is three words to bash.
_WORDS = [
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
    "    local verb=${COMP_WORDS[1]} words='' options=''",
    "    [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD-2]}",
    "    [[ $word != = ]] || word=''",
    "    if ((COMP_CWORD < 2)); then",
    f"        verb='' options='--help --version' words='{' '.join(VERBS)}'",
    "    fi",
    '    case "$verb $before" in',
]


def _fish(verbs: dict[str, Verb]) -> str:
    lines = [
        "complete -c krunc -n __fish_use_subcommand -f -l version",
        "complete -c krunc -l help",
    ]
    for name, verb in verbs.items():
        text = VERBS[name].replace("'", "\\'")
        lines.append(f"complete -c krunc -n __fish_use_subcommand -f -a {name} -d '{text}'")
        here = f"complete -c krunc -n '__fish_seen_subcommand_from {name}'"
        if verb.words:
            lines.append(f"{here} -f -a '{' '.join(verb.words)}'")
        for option, choices in verb.options.items():
            kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            value = "" if choices is None else f" -x -a '{' '.join(choices)}'" if choices else " -r"
            lines.append(f"{here} {kind}{value}")
    return "\n".join(lines) + "\n"
