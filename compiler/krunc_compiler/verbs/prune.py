"""krunc prune: the store without the roots that nobody needs."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace

from krunc_compiler.findings.finding import Rejected, UsageError
from krunc_compiler.findings.report import printable
from krunc_compiler.findings.wording import plural
from krunc_compiler.image.notes import forget_the_gone
from krunc_compiler.image.store import Root, Store, default
from krunc_compiler.image.uses import uses
from krunc_compiler.verbs.options import add_store
from krunc_compiler.verbs.pulling import mib, stored

EXAMPLES = """\
examples:
  krunc prune ~/src                        keeps what locks and plans below ~/src name
  krunc prune --dry-run ~/src
  krunc prune --force ~/src /etc/krunc     in a script: asks nothing

Kept is what a lock or plan below the PATHs names, broken ones too, and what a running VM has. When
one cannot be read, nothing is removed. What is removed comes back with krunc pull --locked.

exit codes: 0 success, 1 a lock, a plan or the store cannot be read, 2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["."],
        metavar="PATH",
        help="boxes, locks and plans whose roots are kept, or directories; default: this one",
    )
    add_store(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    parser.add_argument("-f", "--force", action="store_true", help="ask nothing")
    parser.add_argument("--json", action="store_true", help="for machines; asks nothing as --force")


def run(args: Namespace) -> int:
    """Remove the roots of the store that nothing names."""
    store = Store(args.store) if args.store else default()
    named, findings = uses(args.paths)
    if findings:
        raise Rejected(findings)
    with stored(store):
        return _pruned(args, store, named)


def _pruned(args: Namespace, store: Store, named: dict[str, list[str]]) -> int:
    store.sweep()
    unused = [root for root in store.roots() if root.digest not in named]
    is_asked = not (args.dry_run or args.force or args.json)
    if unused and is_asked and not _agreed(unused, args, store):
        sys.stderr.write("krunc: nothing was removed\n")
        return 0
    removed: list[Root] = []
    running: list[Root] = []
    for root in unused:
        is_free = store.is_free(root.digest) if args.dry_run else store.remove(root.digest)
        (removed if is_free else running).append(root)
    if not args.dry_run:
        forget_the_gone(store)
    _tell(args, removed, running)
    return 0


def _agreed(unused: list[Root], args: Namespace, store: Store) -> bool:
    """Ask on the terminal; raises UsageError when there is none."""
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError("no terminal to ask on: --force removes, --dry-run only prints")
    for root in unused:
        sys.stderr.write(f"  {root.digest}  {mib(root.size)}\n")
    where = ", ".join(printable(os.path.abspath(path)) for path in args.paths)
    count = f"{plural(len(unused), 'root')}"
    size = mib(sum(root.size for root in unused))
    sys.stderr.write(
        f"No lock or plan below {where} names these.\n"
        f"Remove {count}, {size}, from {printable(store.directory)}? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(args: Namespace, removed: list[Root], running: list[Root]) -> None:
    size = sum(root.size for root in removed)
    if args.json:
        value = {
            "krunc_prune": 1,
            "removed": [root.digest for root in removed],
            "running": [root.digest for root in running],
            "size": size,
            "dry_run": args.dry_run,
        }
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
        return
    does = "would remove" if args.dry_run else "removed"
    for root in removed:
        sys.stdout.write(f"{does} {root.digest}  {mib(root.size)}\n")
    for root in running:
        sys.stdout.write(f"kept {root.digest}: a running VM has it\n")
    sys.stdout.write(f"{does} {plural(len(removed), 'root')}, {mib(size)}\n")
