"""krunc images: the roots that the store has."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from datetime import datetime, timezone
from typing import Any

from krunc_compiler.findings.report import coloured, printable, report
from krunc_compiler.findings.wording import plural
from krunc_compiler.image.lock import LockedImage
from krunc_compiler.image.notes import images
from krunc_compiler.image.store import Root, Store, default
from krunc_compiler.image.uses import uses
from krunc_compiler.verbs.options import add_store
from krunc_compiler.verbs.pulling import mib, stored

EXAMPLES = """\
examples:
  krunc images                             what locks and plans below this directory use
  krunc images boxes ~/other               below these
  krunc images --json | jq -r '.roots[] | select(.used_by == []) | .digest'

A root is checked when it is written, by krunc pull and by krunc launch; a change takes that away.

exit codes: 0 success, 1 a lock, a plan or the store cannot be read, 2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["."],
        metavar="PATH",
        help="boxes, locks and plans, or directories; default: this one",
    )
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: Namespace) -> int:
    """List the roots of the store."""
    store = Store(args.store) if args.store else default()
    found, findings = uses(args.paths)
    with stored(store):
        made_of = images(store)
        rows = [_row(root, made_of.get(root.digest, []), found) for root in store.roots()]
    if args.json:
        from krunc_compiler.findings.formats import document

        value = document(findings, krunc_images=1, store=store.directory, roots=rows)
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for row in rows for line in _lines(row)))
        size = sum(row["size"] for row in rows)
        count = f"{plural(len(rows), 'root')}"
        sys.stdout.write(f"{count}, {mib(size)}, in {printable(store.directory)}\n")
        if findings:
            sys.stderr.write(report(findings, coloured(sys.stderr)))
    return 1 if findings else 0


def _row(root: Root, made_of: list[LockedImage], found: dict[str, list[str]]) -> dict[str, Any]:
    keys = ("reference", "platform", "manifest")
    when = None if root.checked is None else datetime.fromtimestamp(int(root.checked), timezone.utc)
    return {
        "digest": root.digest,
        "size": root.size,
        "made_of": [{key: getattr(image, key) for key in keys} for image in made_of],
        "checked": None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "used_by": found.get(root.digest, []),
    }


def _lines(row: dict[str, Any]) -> list[str]:
    checked = f"checked {row['checked']}" if row["checked"] else "not checked in its present state"
    lines = [f"{row['digest']}  {mib(row['size'])}  {checked}"]
    lines += [
        f"    made of {printable(image['reference'])} ({image['platform']}) {image['manifest']}"
        for image in row["made_of"]
    ]
    return lines + [f"    used by {printable(path)}" for path in row["used_by"] or ["nothing here"]]
