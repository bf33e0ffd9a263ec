"""The command krunc: hands launch to the launcher and everything else to the compiler, importing
the half that the verb needs and nothing of the other."""

from __future__ import annotations

import gc
import os
import sys


def run() -> None:
    """The command: `main`, and nothing that only a longer life would need.

    A short run leaves little garbage to look for, and its memory need not be handed back piece by
    piece: together they take a fifth of the compilation of a box.
    """
    gc.disable()
    # Who closed one wants nothing of it.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_RDWR), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_RDWR), "w")
    status = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or 1  # the reader left, or the disk is full
    os._exit(status)


def main() -> int:
    """Run the command line; the exit status."""
    argv = sys.argv[1:]
    if argv in (["--help"], ["-h"]):
        from krunc_compiler.usage import HELP

        sys.stdout.write(HELP)
        return 0
    if argv == ["--version"]:
        from krunc_launcher._rules import VERSION

        sys.stdout.write(f"krunc {VERSION}\n")
        return 0
    if argv[:1] == ["launch"]:
        if any(word.lower().endswith((".yaml", ".yml")) for word in argv):
            from krunc.boxes import launch

            return launch(argv[1:])
        from krunc_launcher.start import main as launcher

        return launcher(argv[1:])
    if argv[:1] == ["doctor"]:
        from krunc_launcher.start import main as launcher

        return launcher(argv)
    if argv[:1] == ["completion"]:
        from krunc.completion import main as completion

        return completion(argv[1:])
    from krunc_compiler.__main__ import main as compiler

    from krunc.verifying import refusals

    return compiler(argv, refusals)
