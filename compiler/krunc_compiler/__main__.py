"""The command line of the compiler: arguments to a verb to an exit status."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

from krunc_compiler.findings.finding import Rejected, UsageError
from krunc_compiler.findings.report import coloured, printable, report
from krunc_compiler.findings.wording import nearest, why
from krunc_compiler.usage import HELP, VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from krunc_compiler.libkrun import Installed
    from krunc_compiler.plan.refusal import Starter, Verifier

# Verbs that the dispatcher hands to others.
OF_OTHERS = ("launch", "doctor", "completion")
_MODULES = {"import": "importing"}  # a word of Python's cannot name a module


def main(
    argv: list[str] | None = None,
    verify: Verifier | None = None,
    installed: Callable[[], Installed | None] | None = None,
    unstarted: Starter | None = None,
) -> int:
    """Run one verb with ARGV; return the exit status. VERIFY, INSTALLED and UNSTARTED are the
    launcher's own, for verbs that speak for it: what it refuses of a plan, which libkrun it would
    load, and why a program cannot start here."""
    _streams()
    argv = sys.argv[1:] if argv is None else argv
    verb = argv[0] if argv and argv[0] in VERBS else ""
    failed = 2 if verb == "diff" else 1  # of diff, 1 says that two plans differ
    try:
        args = _parsed(argv)
        args.verify, args.installed, args.unstarted = verify, installed, unstarted
        os.getcwd()  # or the paths that are given, and those of boxes, lead nowhere
        status: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        return _said(f"krunc {verb}: {printable(str(error))}\n", 2)
    except Rejected as rejected:
        return _said(report(rejected.findings, coloured(sys.stderr)), 1)
    except BrokenPipeError:
        _discard_output()  # the reader left; nothing more can reach it, not even at exit
        return failed
    except OSError as error:
        if error.filename is not None:
            what = f"{printable(os.fsdecode(error.filename))}: {why(error)}"
        elif isinstance(error, FileNotFoundError):
            # Without a name it is getcwd(2) that finds none.
            what = "the working directory is not there any more; change to another"
        else:
            _discard_output()
            what = f"the output cannot be written: {why(error)}"
        return _said(f"{f'krunc {verb}'.rstrip()}: {what}\n", failed)
    return status


def _said(text: str, status: int) -> int:
    """Write TEXT on standard error; STATUS, whether that can be written to or not."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
    return status


def _discard_output() -> None:
    """Forget what standard output still holds, which would be tried again at the end."""
    sys.stdout = StringIO()


def _streams() -> None:
    """Tell what is written to a file or a pipe is UTF-8; a terminal of another encoding gets
    escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """A parser whose help has the layout of the launcher's, and whose help that cannot be written
    is an error, as every other output is."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, add_help=False, formatter_class=_Help, allow_abbrev=False)
        self._positionals.title = "arguments"

    def with_help(self) -> None:
        """Add --help, the last of the options, and the usage of all; to what has verbs of its own,
        to each of these."""
        for action in self._actions:
            parsers = action.choices.values() if isinstance(action.choices, dict) else ()
            for parser in parsers:
                if isinstance(parser, Parser):
                    parser.with_help()
        self.add_argument("-h", "--help", action="help", help="print this help")
        words = [_word(action) for action in self._actions if not action.option_strings]
        self.usage = " ".join([self.prog, "[option...]", *words])

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and end with 2."""
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse an empty value, which no argument takes: most likely it is a shell's variable that
        is not set. An empty word of another tool's command is one of it."""
        if value == "" and action.dest != "words":
            name = "/".join(action.option_strings) or str(action.metavar)
            self.error(f"{name} needs a value, got an empty string")
        super()._check_value(action, value)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            file.write(message)
            file.flush()
        else:
            super()._print_message(message, file)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help in the layout of the launcher's (krunc_launcher.options): tests/verbs/test_help.py holds
    the two equal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100, max_help_position=21)
        self._action_max_length = self._width  # of short names, too

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Return the names of an option with its value once: -o, --output FILE."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, (action.dest or "").upper())
        return f"{', '.join(action.option_strings)} {value}"


def _word(action: argparse.Action) -> str:
    """Return the word of a usage line for what ACTION takes."""
    name = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest)
    if isinstance(action.choices, dict):
        return f"{name} ..."
    match action.nargs:
        case "?":
            return f"[{name}]"
        case "*":
            return f"[{name}...]"
        case "+":
            return f"{name}..."
    return name


def verb_parser(name: str) -> Parser:
    """Return the command line of the verb NAME, whose module is imported for it."""
    module = import_module(f"krunc_compiler.verbs.{_MODULES.get(name, name)}")
    summary = VERBS[name]
    parser = Parser(
        prog=f"krunc {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=module.EXAMPLES,
    )
    module.add_arguments(parser)
    parser.with_help()
    parser.set_defaults(run=module.run, verb=name)
    return parser


def _parsed(argv: list[str]) -> argparse.Namespace:
    """Return ARGV as its verb understands it; ends the process for --help and for wrong usage."""
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        sys.stdout.write(HELP)
        raise SystemExit(0)
    if not argv:
        sys.stderr.write(HELP)
        raise SystemExit(2)
    if name not in VERBS or name in OF_OTHERS:
        from krunc_compiler.shape.habits import of_command  # a command that there is needs none

        said = of_command(name) or (
            f"did you mean {near}?" if (near := nearest(name, VERBS)) else ""
        )
        commands = f"commands: {', '.join(VERBS)}; see krunc --help"
        advice = " ".join(filter(None, (said, commands)))
        sys.stderr.write(f"krunc: there is no command '{printable(name)}'; {advice}\n")
        raise SystemExit(2)
    parser = verb_parser(name)
    given, unknown = parser.parse_known_args(argv[1:])
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        said = _key_of_box(name, unknown[0])
        if not said and (near := nearest(unknown[0].partition("=")[0], options)):
            said = f"did you mean {near}?"
        told = (f"unrecognized arguments: {' '.join(unknown)}", said)
        parser.error("; ".join(filter(None, told)))
    return given


def _key_of_box(verb: str, word: str) -> str:
    """Tell by which key a box has what the option WORD of other tools says; import takes such
    options, in a command of theirs."""
    from krunc_compiler.shape.box_options import of_option  # what is right needs none

    return of_option(word) if verb != "import" else ""


if __name__ == "__main__":
    sys.exit(main())
