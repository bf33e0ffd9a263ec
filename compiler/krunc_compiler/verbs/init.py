"""krunc init: a commented starter box, or policy."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace
from importlib.resources import files
from pathlib import Path

from krunc_schema import load

from krunc_compiler.files.boxfiles import is_box_name
from krunc_compiler.files.writing import create, make_directory, remove_empty
from krunc_compiler.findings.finding import Finding, Rejected, UsageError
from krunc_compiler.findings.report import only, printable
from krunc_compiler.findings.wording import why
from krunc_compiler.libkrun import Installed

_EXAMPLES = """\
examples:
  krunc init                               hello.yaml
  krunc init web                           web.yaml, a web server
  krunc init mine --kind agent             mine.yaml
  krunc init boxes/build.yaml --kind build
  krunc init boxes/                        boxes/hello.yaml; boxes/ is made
  krunc init - --kind disk                 to standard output
  krunc init --kind policy                 .krunc/policy.yaml

exit codes: 0 success, 1 the file exists or cannot be written, 2 usage error
"""
KINDS = {
    "hello": "one program in a root directory",
    "agent": "untrusted code: a root to throw away, a user, no network, an end",
    "build": "read-only source, results in another directory",
    "web": "a server with a port on this host's 127.0.0.1",
    "disk": "a root disk image",
    "policy": "what boxes may do, in .krunc, for krunc check",
}
EXAMPLES = "".join(["kinds:\n", *(f"  {kind:18} {text}\n" for kind, text in KINDS.items()), "\n"])
EXAMPLES += _EXAMPLES


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="NAME|FILE|DIR/|-",
        help="the name or file of the box, or of the policy; default: the kind; DIR/ is made",
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        metavar="KIND",
        help="which starter, see below (default: the one that NAME names, else hello)",
    )


def run(args: Namespace) -> int:
    """Write one box, or a policy; a file that exists is left alone."""
    if args.kind is None:  # who writes `krunc init web` wants the web server
        args.kind = args.file if args.file in KINDS else "hello"
        args.file = None if args.file == args.kind else args.file
    into_directory = args.kind == "policy" or (args.file or "").endswith("/")
    path = _policy(args.file) if args.kind == "policy" else _box(args.file or "", args.kind)
    name = args.kind if path == "-" else Path(path).stem
    rule = load("box.schema")["properties"]["name"]
    if args.kind != "policy" and not re.fullmatch(rule["pattern"], name):
        raise UsageError(f"{printable(name)} cannot be a box's name: use {rule['x-form']}")
    # Not called .yaml: below a directory with an installed krunc, krunc check would find boxes.
    starter = files("krunc_compiler") / "starters" / f"{args.kind}.yaml.txt"
    text = starter.read_text("utf-8").replace("NAME", name)
    text = text.replace("TARGET", _target(args.installed() if args.installed else None), 1)
    if path == "-":
        sys.stdout.write(text)
        return 0
    made: list[str] = []
    try:
        if into_directory:
            made = make_directory(os.path.dirname(path) or ".")
        create(path, text)
    except FileExistsError:
        remove_empty(made)
        raise _refused(path, "the file exists", "choose another name, or remove it") from None
    except FileNotFoundError:
        hint = f"make the directory first: mkdir -p {printable(os.path.dirname(path))}"
        raise _refused(path, "its directory does not exist", hint) from None
    except OSError as error:
        remove_empty(made)
        raise _refused(path, f"it cannot be written: {why(error)}", "") from None
    next_ = "krunc check" if args.kind == "policy" else f"krunc compile {printable(path)}"
    sys.stderr.write(f"krunc: wrote {printable(path)}; next: {next_}\n")
    return 0


def _box(given: str, kind: str) -> str:
    """Return the file of the box that is GIVEN: by its name, or its directory; else of the KIND."""
    if not given or given.endswith("/"):
        return f"{given}{kind}.yaml"
    return given if given == "-" or is_box_name(given) else f"{given}.yaml"


def _policy(given: str | None) -> str:
    """Return the file of the policy that is GIVEN: by its name, in .krunc."""
    from krunc_compiler.policy.files import DIRECTORY  # and with it the review

    if given is None or given.endswith("/"):
        return f"{given or ''}{DIRECTORY}/policy.yaml"
    if given == "-" or is_box_name(given):
        return given
    return f"{DIRECTORY}/policy-{given}.yaml"


def _target(found: Installed | None) -> str:
    """Return the line of a box that names the libkrun that was FOUND on this host."""
    if found is None:
        return (
            "# The libkrun to compile for; without this line 1.x. This host has no libkrun.\n"
            "# target: 2"
        )
    return f"# The libkrun to compile for: this host has {found.name}.\ntarget: {found.family}"


def _refused(path: str, message: str, hint: str) -> Rejected:
    return Rejected(only(path, Finding("KR302", message, hint=hint)))
