"""Options that several verbs share: the target and the variables."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from krunc_compiler import libkrun as api
from krunc_compiler.files.source import read
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Finding, UsageError, reject
from krunc_compiler.values.inputs import Inputs, Values


def add_inputs(parser: ArgumentParser) -> None:
    """--target, --set and --vars."""
    parser.add_argument(
        "--target",
        metavar="1|1.N|2",
        help="the libkrun to compile for: 1, a version of it, or 2. Default: the `target` of the "
        "box, else of the plan that is there, else 1",
    )
    add_variables(parser)
    parser.add_argument(
        "--box", metavar="NAME", help="of a file whose matrix makes several boxes, only this one"
    )


def add_variables(parser: ArgumentParser) -> None:
    """--set and --vars."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a variable of the box",
    )
    parser.add_argument(
        "--vars", action="append", default=[], metavar="FILE", help="a YAML map of variables"
    )


def add_findings_format(parser: ArgumentParser) -> None:
    """--format, of the findings."""
    parser.add_argument(
        "--format",
        choices=("text", "json", "github", "sarif"),
        default="text",
        metavar="FORM",
        help="how findings are written: text, json, github, sarif (default: text)",
    )


def add_store(parser: ArgumentParser) -> None:
    """--store."""
    parser.add_argument(
        "--store", metavar="DIR", help="where roots are kept; default: $KRUNC_STORE, or your own"
    )


def add_allowed(parser: ArgumentParser, when: str = "") -> None:
    """--allow-outside."""
    parser.add_argument(
        "--allow-outside",
        action="append",
        default=[],
        metavar="DIR",
        help=f"{when}read what boxes and links name in DIR too; default: nothing outside of the "
        "repository, or without one of the directory that is checked",
    )


def inputs(args: Namespace, within: Within = ANYWHERE) -> Inputs:
    """Return the inputs that ARGS name, for boxes that name files WITHIN; raises UsageError and
    Rejected."""
    target = api.target(args.target) if args.target is not None else None
    if target is None and args.target is not None:
        raise UsageError(f"--target {args.target}: use 1, a version such as 1.16, or 2")
    settings = []
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        settings.append((name, value))
    files: list[Values] = []
    for path in args.vars:
        from krunc_compiler.text.parsing import parse  # a plan, and most boxes, need no file

        none = Finding("KR021", "the file is empty: it has no variables", hint="write NAME: VALUE")
        value, source = parse(*read(path, within), none)
        if not isinstance(value, dict):
            raise reject(source, [Finding("KR021", "a file of variables is a mapping")])
        files.append(Values(value, source))
    return Inputs(target, tuple(files), tuple(settings), getattr(args, "box", None), within=within)
