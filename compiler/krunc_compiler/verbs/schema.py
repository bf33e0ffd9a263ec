"""krunc schema: the JSON Schema of a box or a plan."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from krunc_schema import text

EXAMPLES = """\
examples:
  krunc schema box >box.schema.json        for an editor: yaml-language-server and others
  krunc schema plan | jq .properties

exit status: 0 well, 2 wrong usage
"""


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("what", choices=("box", "plan"))


def run(args: Namespace) -> int:
    """Print one schema."""
    if args.what == "box":
        sys.stdout.write(text("box.schema"))
    else:
        from krunc_compiler.planschema import plan_schema

        sys.stdout.write(json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
