"""A box that is launched: compiled on the way, with the findings where a person sees them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from krunc_compiler.compiling import compile_box
from krunc_compiler.findings import Rejected
from krunc_compiler.plan import to_text
from krunc_compiler.reporting import report
from krunc_compiler.source import read
from krunc_compiler.verbs.options import inputs


def compile_box_text(
    path: str, target: str, settings: Sequence[str] = (), files: Sequence[str] = ()
) -> str | None:
    """The plan of the box in the file PATH, its paths seen from the box's folder.

    SETTINGS are NAME=VALUE, FILES hold variables. Returns None after it has said on stderr what
    is wrong; raises UsageError when TARGET or a setting is none.
    """
    try:
        given = inputs(Namespace(target=target, set=list(settings), vars=list(files)))
        return to_text(compile_box(*read(path), given))
    except Rejected as rejected:
        sys.stderr.write(report(rejected.findings))
    return None
