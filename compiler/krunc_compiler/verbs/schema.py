"""krunc schema: the JSON Schema of a box, a plan, or what krunc prints about them."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from krunc_schema import text

EXAMPLES = """\
examples:
  krunc schema box >box.schema.json        for an editor: yaml-language-server and others
  krunc schema plan | jq .properties
  krunc schema review                      what krunc show --format json prints

exit codes: 0 success, 2 usage error
"""
_SCHEMAS = (
    "box", "plan", "review", "diff", "policy", "check", "lock", "pull", "images", "prune",
    "fleet-diff",
)  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "what", choices=_SCHEMAS, metavar="NAME", help=f"one of {', '.join(_SCHEMAS)}"
    )


def run(args: Namespace) -> int:
    """Print one schema."""
    if args.what == "plan":
        from krunc_compiler.plan.schema import plan_schema

        sys.stdout.write(json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(text(f"{args.what}.schema"))
    return 0
