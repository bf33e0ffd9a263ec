"""A box that is launched: compiled on the way, with the findings where a person sees them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from krunc_compiler import libkrun as api
from krunc_compiler.files.source import read
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import coloured, report
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.verbs.options import inputs


def compile_box_texts(
    path: str,
    target: str | None,
    found: Callable[[], str],
    settings: Sequence[str] = (),
    files: Sequence[str] = (),
    box: str | None = None,
) -> dict[str, str] | None:
    """Return the plans of the boxes in the file PATH by the boxes' names, their paths seen from the
    file's directory.

    It is for TARGET, else for what the box names, else for what was FOUND. SETTINGS are
    NAME=VALUE, FILES hold variables, BOX names one of several boxes of a file.
    Returns None after it has said on stderr what is wrong; raises UsageError when TARGET or a
    setting is none, or when BOX is none of them.
    """
    try:
        chosen = Namespace(target=target, set=list(settings), vars=list(files), box=box)
        given = inputs(chosen)._replace(kept=lambda name, is_matrix: api.target(found()))
        results, warned = compile_all(*read(path), given)
    except Rejected as rejected:
        sys.stderr.write(report(rejected.findings, coloured(sys.stderr)))
        return None
    if warned:
        sys.stderr.write(report(warned, coloured(sys.stderr)))
    return {result.plan.box: result.text for result in results}
