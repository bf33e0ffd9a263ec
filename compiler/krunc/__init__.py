"""The command krunc: hands launch to the launcher and everything else to the compiler, importing
the half that the verb needs and nothing of the other."""

import gc
import os
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)


def run() -> None:
    """The command: `main`, and nothing that only a longer life would need.

    A short run leaves little garbage to look for, and its memory need not be handed back piece by
    piece: together they take a fifth of the compilation of a box.
    """
    gc.disable()
    _stoppable()
    _opened()
    try:
        status = main()
    except SystemExit as end:  # --help, or wrong usage, which argparse has told
        status = end.code if isinstance(end.code, int) else 1
    except OSError as error:
        status = _untold(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:  # the reader left, or the disk is full
            status = status or _untold(error)
    os._exit(status)


def _untold(error: OSError) -> int:
    """Say what ERROR stopped a command that has no words of its own for it; the exit status."""
    from contextlib import suppress

    from krunc_compiler.findings.wording import why

    if not isinstance(error, BrokenPipeError):  # the reader left, and knows it
        named = error.filename
        where = f"{os.fsdecode(named)!r}" if named else "the output cannot be written"
        with suppress(OSError):  # nor can anything be said then
            sys.stderr.write(f"krunc: {where}: {why(error)}\n")
    return 1


def _stoppable() -> None:
    """Let a Ctrl-C end the process at once, as other programs: Python's way prints a traceback.

    Who has something to remove first asks for that (krunc_compiler.files.stopping).
    """
    if getsignal(SIGINT) is default_int_handler:  # else it is to be ignored
        signal(SIGINT, SIG_DFL)


def _opened() -> None:
    """Open the standard streams that are closed: the next file that is opened must not take their
    place. Standard output cannot be written to, so that a result which is lost is an error."""
    for descriptor, flags in ((0, os.O_RDWR), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            _nothing(flags)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _nothing(flags: int) -> int:
    """Open a file that holds nothing, also where /dev is empty."""
    try:
        return os.open(os.devnull, flags)
    except OSError:
        return os.pipe()[0] if flags == os.O_RDONLY else os.memfd_create("nothing")


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

    from krunc.verifying import installed, refusals, unstarted

    return compiler(argv, refusals, installed, unstarted)
