"""Work on many things alike: on all processors, with the progress on a terminal."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Fewer are done before a second process has started.
MANY = 200
_CHUNK = 32
# Results between two looks at the terminal.
_STEP = 20
_WIDTH = 40


def spread(
    work: Callable[[_Item], _Result], items: Sequence[_Item]
) -> Generator[_Result, None, None]:
    """Tell what WORK makes of each of ITEMS, in their order; WORK and its results can be pickled.

    Many items are spread over the processors that this process may use.
    """
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    if len(items) >= MANY:
        gc.freeze()  # what is there is not garbage, nor worth a copy of its own in each worker
        gc.enable()
        gc.set_threshold(100_000)  # little of what is made for a box is a ring
    if len(items) < MANY or processors < 2:
        yield from _shown(map(work, items), len(items))
        return
    import multiprocessing

    # Forked: what is imported is there, and no other thread runs.
    with multiprocessing.get_context("fork").Pool(processors, _quiet) as pool:
        yield from _shown(pool.imap(work, items, _CHUNK), len(items))


def _quiet() -> None:
    """In a worker: a Ctrl-C, or the end of the terminal, is for the process that started it, which
    ends its workers."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _shown(results: Iterable[_Result], total: int) -> Iterator[_Result]:
    """Yield RESULTS; how many of TOTAL there are is on the terminal meanwhile."""
    if total < MANY or not sys.stderr.isatty():
        yield from results
        return
    tell = partial(print, end="", file=sys.stderr, flush=True)
    for done, result in enumerate(results, 1):
        if done % _STEP == 0:
            bar = "#" * (done * _WIDTH // total)
            tell(f"\r[{bar:{_WIDTH}}] {done:,} of {total:,}")
        yield result
    tell("\r\x1b[K")
