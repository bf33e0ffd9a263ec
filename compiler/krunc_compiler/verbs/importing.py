"""krunc import: what another tool runs, as a box."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.files.source import MAX_BYTES, decode, read
from krunc_compiler.files.stopping import Cleaned, unstopped
from krunc_compiler.files.writing import remove_empty, write
from krunc_compiler.findings.finding import Finding, Located, Rejected, Source, reject
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.importing import boxlite, compose, docker_run, oci
from krunc_compiler.importing.boxlite import Imported
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.importing.configuration import configuration
from krunc_compiler.pipeline.batch import NO_DIRECTORY
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.verbs.compile_jobs import is_directory, made_directory

EXAMPLES = """\
examples:
  krunc import docker-run 'docker run --rm -p 8080:80 nginx:1.27' -o web.yaml
  krunc import docker-run -- podman run --rm alpine:3.20 uname -r
  krunc import docker-run - <run.sh           one command; docker, podman or nerdctl
  krunc import compose compose.yaml web -o web.yaml
  krunc import compose compose.yaml web -o boxes/    boxes/web.yaml; boxes/ is made
  krunc import oci ./bundle -o app.yaml       a runtime bundle: config.json and its root
  krunc import boxlite spec.json >web.yaml    a BoxLite InstanceSpec, as its shim gets it

A comment at the top of the box names everything that has no counterpart. docs/importing.md has
every option and key; docs/boxlite.md BoxLite's. Relative paths start at the box's directory. The
image of a box is pulled before it compiles: krunc pull web.yaml.

exit codes: 0 success, 1 the input is wrong, 2 usage error
"""
# JSON writes characters beyond U+FFFF as two escapes, which YAML does not join; an escaped
# backslash is passed over.
_PAIR = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
# What an image's lock leaves open, which is made by krunc pull.
_OF_LOCKS = ("KR701", "KR702", "KR703")
_COMMAND = "<command>"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    tools = parser.add_subparsers(
        dest="what", metavar="TOOL", required=True, help="what ran it; krunc import TOOL --help"
    )
    for tool, (summary, _) in _TOOLS.items():
        own = tools.add_parser(
            tool,
            help=summary,
            description=f"Turn {summary} into a box.",
            epilog=EXAMPLES,
        )
        if tool == "docker-run":
            own.add_argument(
                "words",
                metavar="COMMAND|-",
                nargs="+",
                help="the command as one string, its words behind --, or - for standard input",
            )
        elif tool == "oci":
            own.add_argument("bundle", metavar="BUNDLE", help="the bundle's directory")
        else:
            own.add_argument("file", metavar="FILE|-", help="the file, or - for standard input")
        if tool == "compose":
            which = "which service; needed where there are several"
            own.add_argument("service", metavar="SERVICE", nargs="?", help=which)
        own.add_argument(
            "-o",
            "--output",
            dest="o",
            metavar="FILE|DIR/|-",
            default="-",
            help="where the box goes; DIR/ is made, for NAME.yaml; default: -, standard output",
        )


def run(args: Namespace) -> int:
    """Write the box of one configuration."""
    if into_directory := args.o != "-" and is_directory(args.o):
        args.o = os.path.join(args.o, "")  # relative paths start there
    name, box = _TOOLS[args.what][1](args)
    title = f"Made by krunc import {args.what} from {name}."
    made = to_yaml(box.value, box.notes, title)
    if args.what != "boxlite":
        _compiles(name, made)
    if args.o == "-":
        sys.stdout.write(made)
        return 0
    path = f"{args.o}{box.value['name']}.yaml" if into_directory else args.o
    directories: list[str] = []
    with Cleaned(lambda: remove_empty(directories)):
        if into_directory:
            with unstopped():
                directories += made_directory(args.o)
        changed = _written(path, made)
    sys.stderr.write(f"krunc: {'wrote' if changed else 'unchanged:'} {printable(path)}\n")
    return 0


def _written(path: str, made: str) -> bool:
    try:
        return write(path, made)
    except OSError as error:
        hint = NO_DIRECTORY if isinstance(error, FileNotFoundError) else ""
        finding = Finding("KR302", f"the box cannot be written: {why(error)}", hint=hint)
        raise Rejected(only(path, finding)) from None


def _compiles(name: str, made: str) -> None:
    """Tell what keeps the box that was MADE of NAME from compiling, other than a lock."""
    try:
        compile_all(f"box of {name}", made, Inputs(None))
    except Rejected as rejected:
        wrong = [item for item in rejected.findings if not _is_open(item)]
        if any(not item.finding.warning for item in wrong):
            raise Rejected(wrong) from None


def _is_open(item: Located) -> bool:
    return item.finding.warning or item.finding.code in _OF_LOCKS


def _boxlite(args: Namespace) -> tuple[str, Imported]:
    name, text = read(args.file)
    spec, source = configuration(name, _PAIR.sub(_joined, text), "boxlite.schema")
    box, findings = boxlite.convert(spec)
    if findings:
        raise reject(source, findings)
    return "an InstanceSpec" if args.file == "-" else name, box


def _docker_run(args: Namespace) -> tuple[str, Imported]:
    words: list[str] = args.words
    if words == ["-"]:
        name, text = read("-")
    elif len(words) == 1:
        name, text = _COMMAND, decode(_COMMAND, os.fsencode(words[0][: MAX_BYTES + 1]))
    else:
        from shlex import join

        name, text = _COMMAND, decode(_COMMAND, os.fsencode(join(words)))
    if "\0" in text:
        raise reject(Source(name, text, {}), [Finding("KR512", "the command holds a NUL")])
    box = docker_run.convert(name, text)
    return "a command", box


def _compose(args: Namespace) -> tuple[str, Imported]:
    name, text = read(args.file)
    home = "" if args.file == "-" else _leading(args.o, os.path.dirname(args.file))
    return name, compose.convert(name, text, args.service, home)


def _oci(args: Namespace) -> tuple[str, Imported]:
    file = os.path.join(args.bundle, oci.CONFIG)
    name, text = read(file)
    directory = os.path.basename(os.path.abspath(args.bundle))
    home = _leading(args.o, args.bundle)
    return name, oci.convert(name, _PAIR.sub(_joined, text), directory, home)


def _leading(box: str, directory: str) -> str:
    """Return what leads from the directory of the file BOX to DIRECTORY, where paths start."""
    if os.path.isabs(directory):
        return directory
    start = os.path.dirname(box) if box != "-" else ""
    return os.path.relpath(directory or ".", start or ".")


_TOOLS = {
    "boxlite": ("a BoxLite InstanceSpec", _boxlite),
    "compose": ("a service of a Compose file", _compose),
    "docker-run": ("a docker, podman or nerdctl run command", _docker_run),
    "oci": ("an OCI runtime bundle", _oci),
}


def _joined(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return bytes.fromhex(found[1] + found[2]).decode("utf-16-be")
