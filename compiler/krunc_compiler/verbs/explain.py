"""krunc explain: what a finding's code means."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.findings import catalogue, wording
from krunc_compiler.findings.finding import UsageError

EXAMPLES = """\
examples:
  krunc explain KR201                      what it is, why, and the fix
  krunc explain                            all codes

exit codes: 0 success, 2 no such code
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "codes",
        nargs="*",
        metavar="CODE",
        help="the code of a finding, as in error[KR201]; default: all codes, each with its title",
    )


def run(args: Namespace) -> int:
    """Print the entries of the codes, or the list of all."""
    if not args.codes:
        sys.stdout.write(catalogue.listed())
        return 0
    found = []
    for given in args.codes:
        item = catalogue.entry(given.upper())
        if item is None:
            close = wording.nearest(given.upper(), catalogue.entries())
            hint = f"did you mean {close}?" if close else "`krunc explain` lists them"
            raise UsageError(f"no finding has the code {given}; {hint}")
        found.append(catalogue.explained(item))
    sys.stdout.write("\n".join(found))
    return 0
