"""krunc digest: the digest of what a plan means, or of many plans together."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing

from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.files.one_file import difference, one_file
from krunc_compiler.files.source import read
from krunc_compiler.findings.finding import Finding, Located, Rejected, UsageError
from krunc_compiler.findings.report import only, printable
from krunc_compiler.pipeline.parallel import spread
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.plan import value_of
from krunc_compiler.plan.reading import read_plan

EXAMPLES = """\
examples:
  krunc digest boxes/*.plan.json >approved     one line a plan: sha256:HEX  NAME
  krunc digest - <web.plan.json
  krunc digest --fleet boxes -o fleet.list     one digest for all plans below a directory

The digest covers what a plan does: neither layout, nor the order of keys, nor the keys of the box
from which the operations come. docs/review.md has the algorithm.

With --fleet, krunc launch --require-digest sha256:HEX --digests fleet.list PLAN takes each of the
plans under its own file name, and no other.

exit codes: 0 success, 1 the input is wrong, 2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "plans",
        nargs="+",
        metavar="PLAN",
        help="a plan, or - for standard input; with --fleet a directory of plans, too",
    )
    parser.add_argument("--fleet", action="store_true", help="print one digest for all plans")
    parser.add_argument(
        "-o",
        "--output",
        metavar="LIST",
        help="with --fleet: write the list of names and digests, for krunc launch --digests",
    )


def run(args: Namespace) -> int:
    """Print a line for each plan, or one for all; nothing when one is wrong."""
    if boxes := [path for path in args.plans if is_box_name(path)]:
        raise UsageError(f"{boxes[0]} is a box; write its plan: krunc compile {boxes[0]}")
    if not args.fleet:
        if args.output is not None:
            raise UsageError("-o is for --fleet")
        sys.stdout.write("".join(f"{one}  {printable(path)}\n" for path, one in _all(args.plans)))
        return 0
    from krunc_compiler.plan.fleet_digest import fleet_list

    found = _all(_plans(args.plans))
    if wrong := _unlisted([path for path, _ in found]):
        raise Rejected(wrong)
    listed = fleet_list(found)
    assert listed is not None
    if args.output is not None:
        _write(args.output, listed[1])
    sys.stdout.write(f"{listed[0]}\n")
    return 0


def _all(paths: list[str]) -> list[tuple[str, str]]:
    """Return PATHS with the digest of each plan. Raises Rejected with all that is wrong."""
    findings: list[Located] = []
    lines = []
    with closing(spread(_one, paths)) as results:
        for path, (found, wrong) in zip(paths, results, strict=True):
            findings += wrong
            lines.append((path, found))
    if findings:
        raise Rejected(findings)
    return lines


def _one(path: str) -> tuple[str, list[Located]]:
    try:
        return digest(value_of(read_plan(*read(path)))), []
    except Rejected as rejected:
        return "", rejected.findings


def _plans(given: list[str]) -> list[str]:
    """Return the plans that are GIVEN, of a directory all that lie below it."""
    from krunc_compiler.files.within import ANYWHERE
    from krunc_compiler.pipeline.gathering import gather

    if "-" in given:
        raise UsageError("a fleet has plans with names, so none is standard input")
    found: dict[str, None] = {}
    for path in given:
        if not os.path.isdir(path):
            found[path] = None
            continue
        below = gather([path], ANYWHERE)
        if below.findings:
            raise Rejected(below.findings)
        if not below.plans:
            raise UsageError(f"no plan below {path}")
        found.update(dict.fromkeys(below.plans))
    return list(found)


def _unlisted(paths: list[str]) -> list[Located]:
    """Find the plans that cannot be listed, for their names are no lines, or those of others."""
    from krunc_compiler.plan.fleet_digest import is_listable, name_in_fleet

    first: dict[str, str] = {}
    findings = []
    for path in paths:
        name = name_in_fleet(path)
        if not is_listable(name):
            message = f"a plan called '{printable(name)}' cannot be listed"
            hint = "rename it: a name has printed characters alone, and is not . or .."
            findings += only(path, Finding("KR870", message, hint=hint))
        elif (other := first.setdefault(one_file(name), path)) != path:
            theirs = name_in_fleet(other)
            message = f"{printable(other)} is called {printable(theirs)}, too"
            if theirs != name:
                message = (
                    f"{printable(name)} and {printable(theirs)}, the name of {printable(other)}, "
                )
                message += f"are one{difference(theirs, name)}"
            hint = "rename one of them, or make two fleets of them"
            findings += only(path, Finding("KR870", message, hint=hint))
    return findings


def _write(path: str, text: str) -> None:
    from krunc_compiler.files.writing import write
    from krunc_compiler.findings.wording import why
    from krunc_compiler.plan.fleet_digest import MARK

    if path == "-":
        raise UsageError("-o takes a file: the digest goes to standard output")
    try:
        write(path, text, replaces=MARK.encode())
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        hint = "name a file in a directory that is there" if is_missing else ""
        finding = Finding("KR302", f"the list cannot be written: {why(error)}", hint=hint)
        raise Rejected(only(path, finding)) from None
