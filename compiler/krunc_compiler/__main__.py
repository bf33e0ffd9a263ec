"""The command line of the compiler: arguments to a verb to an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from io import TextIOWrapper

from krunc_compiler.findings import Rejected, UsageError
from krunc_compiler.reporting import coloured, report

# Each verb is a module of its own, imported only when it is called.
VERBS = {
    "compile": "validate boxes and compile them into plans",
    "show": "show what a plan lets a VM do, then its operations",
    "diff": "show what changes in meaning between two plans, the worst first",
    "check": "check boxes, their committed plans, and the policies over them",
    "digest": "print the digest of what a plan means",
    "import": "turn what another tool runs (BoxLite) into a box",
    "schema": "print the JSON Schema of a box, a plan, or an output",
    "explain": "tell what a finding's code means",
    "init": "write a commented starter box",
    "launch": "replay a plan against libkrun and enter the VM",
    "doctor": "check what this host has and lacks to run VMs",
}
_OF_THE_LAUNCHER = ("launch", "doctor")
_MODULES = {"import": "importing"}  # a word of Python's cannot name a module
_EPILOG = """\
A box is a YAML file, a plan the JSON file that it compiles to; plans are committed and reviewed.
`krunc VERB --help` has examples.

exit status: 0 well, 1 the input is wrong or differs, 2 wrong usage; of launch: the guest's own,
125 when the VM could not be started
"""


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


class _Version(argparse.Action):
    """Asks for the installed version only when it is wanted: the answer costs 38 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"krunc {version('krunc')}\n")
        parser.exit()


def _parser(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="krunc",
        description="Compile declarative boxes into reviewable plans of libkrun calls, "
        "and launch the plans as microVMs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print krunc's version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
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
