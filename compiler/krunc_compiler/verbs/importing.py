"""krunc import: what another tool runs, as a box."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace

from krunc_schema import load

from krunc_compiler.files.source import read
from krunc_compiler.files.writing import write
from krunc_compiler.findings.finding import Finding, Rejected, reject
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.importing.boxlite import convert
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.shape.checking import check
from krunc_compiler.text.parsing import parse

EXAMPLES = """\
examples:
  krunc import boxlite spec.json >web.yaml     a BoxLite InstanceSpec, as its shim gets it
  krunc import boxlite - -o web.yaml <spec.json

The box compiles to the calls that BoxLite's engine makes; docs/boxlite.md names the differences
that are wanted.

exit status: 0 well, 1 the input is wrong, 2 wrong usage
"""
# JSON writes characters beyond U+FFFF as two escapes, which YAML does not join; an escaped
# backslash is passed over.
_PAIR = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("what", choices=("boxlite",), help="the tool that the file is of")
    parser.add_argument("file", metavar="FILE|-", help="the InstanceSpec in JSON, or - for stdin")
    parser.add_argument("-o", metavar="FILE|-", default="-", help="the box; - is stdout (default)")


def run(args: Namespace) -> int:
    """Write the box of one spec."""
    name, text = read(args.file)
    spec, source = parse(name, _PAIR.sub(_joined, text))
    schema = load("boxlite.schema")
    findings = check(spec, schema)
    if findings:
        raise reject(source, findings)
    box, findings = convert(spec)
    if findings:
        raise reject(source, findings)
    title = f"Made by krunc import boxlite from {'an InstanceSpec' if args.file == '-' else name}."
    made = to_yaml(box.value, box.notes, title)
    if args.o == "-":
        sys.stdout.write(made)
        return 0
    try:
        changed = write(args.o, made)
    except OSError as error:
        raise Rejected(
            only(args.o, Finding("KR302", f"the box cannot be written: {why(error)}"))
        ) from None
    sys.stderr.write(f"krunc: {'wrote' if changed else 'unchanged:'} {printable(args.o)}\n")
    return 0


def _joined(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return bytes.fromhex(found[1] + found[2]).decode("utf-16-be")
