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
_COLUMNS = 80
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
    except OSError as error:
        if error.filename is not None:
            raise  # whoever opens a file tells of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        why = (error.strerror or str(error)).lower()
        sys.stderr.write(f"krunc {args.verb}: the output cannot be written: {why}\n")
        return 1
    return status


def _streams() -> None:
    """What is written to a file or a pipe is UTF-8; a terminal of another encoding gets escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, which argparse would import shutil to know."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _parser(argv: list[str]) -> argparse.Namespace:
    """What ARGV asks for; only the parser of the verb in it is made."""
    name = argv[0] if argv else ""
    if name not in VERBS or name in _OF_THE_LAUNCHER:
        parser = argparse.ArgumentParser(prog="krunc", usage="krunc VERB ...", add_help=False)
        if name in ("-h", "--help"):
            parser.exit(0, HELP)
        wrong = f"{name!r} is no verb" if name else "a verb is needed"
        parser.error(f"{wrong}; krunc has: {', '.join(VERBS)}")
    module = import_module(f"krunc_compiler.verbs.{_MODULES.get(name, name)}")
    summary = VERBS[name]
    parser = argparse.ArgumentParser(
        prog=f"krunc {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=module.EXAMPLES,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.set_defaults(run=module.run, verb=name)
    return parser.parse_args(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
