"""The command line of the compiler: arguments to a verb to an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from io import TextIOWrapper

from krunc_compiler.findings import Rejected, UsageError
from krunc_compiler.reporting import coloured, report
from krunc_compiler.usage import HELP, VERBS

_OF_THE_LAUNCHER = ("launch", "doctor")
_MODULES = {"import": "importing"}  # a word of Python's cannot name a module


def main(argv: list[str] | None = None) -> int:
    """Run one verb with ARGV; return the exit status."""
    _streams()
    args = _parser(sys.argv[1:] if argv is None else argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        sys.stderr.write(f"krunc {args.verb}: {error}\n")
        return 2
    except Rejected as rejected:
        sys.stderr.write(report(rejected.findings, coloured(sys.stderr)))
        return 1
    except BrokenPipeError:
        # The reader left; nothing more can reach it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _streams() -> None:
    """What is written to a file or a pipe is UTF-8; a terminal of another encoding gets escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    """The whole command line; its help is written by hand, to be there without a parser."""

    def format_help(self) -> str:
        return HELP


def _parser(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="krunc", usage="krunc VERB ...", allow_abbrev=False)
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=argparse.ArgumentParser
    )
    for name, summary in VERBS.items():
        called = name in argv[:1] and name not in _OF_THE_LAUNCHER
        child = verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=called,
        )
        if called:
            module = import_module(f"krunc_compiler.verbs.{_MODULES.get(name, name)}")
            child.epilog = module.EXAMPLES
            module.add_arguments(child)
            child.set_defaults(run=module.run)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
