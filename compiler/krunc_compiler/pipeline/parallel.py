"""Work on many things alike: on all processors, with the progress on a terminal."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from krunc_compiler.findings.finding import UsageError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

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
    """Tell what WORK makes of each of ITEMS, in their order; the results can be pickled.

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
    yield from _shown(_of_workers(work, items, processors), len(items))


def _of_workers(
    work: Callable[[_Item], _Result], items: Sequence[_Item], processors: int
) -> Iterator[_Result]:
    """Yield what PROCESSORS workers make of ITEMS, in their order.

    Each worker has every so-many-th chunk and a pipe of its own. No lock is shared, so one that a
    signal ends leaves nobody waiting. (A worker of multiprocessing's Pool can die with the queue's
    lock, and Pool starts others meanwhile, which miss the signal that is to end them.)
    """
    import multiprocessing

    # Forked: what is imported is there, and no other thread runs.
    context = multiprocessing.get_context("fork")
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    workers: list[BaseProcess] = []
    pipes: list[Connection] = []
    try:
        for first in range(min(processors, len(chunks))):
            receiver, sender = context.Pipe(duplex=False)
            pipes.append(receiver)
            mine = chunks[first::processors]
            given = (work, mine, sender, pipes)
            workers.append(context.Process(target=_serve, args=given, daemon=True))
            workers[-1].start()
            sender.close()
        for number in range(len(chunks)):
            try:
                results, error = pipes[number % processors].recv()
            except (EOFError, OSError):  # between two messages, within one
                gone = "a process that works on a part of it ended early: was it short of memory?"
                raise UsageError(gone) from None
            yield from results
            if error is not None:
                raise error
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.kill()
                worker.join()


def _serve(
    work: Callable[[_Item], _Result],
    chunks: list[Sequence[_Item]],
    sender: Connection,
    others: list[Connection],
) -> None:
    """Send what WORK makes of each of CHUNKS, in a worker.

    A Ctrl-C, or the end of the terminal, is for the process that started it, which ends its
    workers. If that process is gone, so is the reader of the pipe.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for other in others:
        other.close()  # else a pipe would have a reader as long as any worker runs
    for chunk in chunks:
        results: list[_Result] = []
        error = None
        try:
            results.extend(map(work, chunk))
        except (UsageError, OSError) as raised:
            error = raised  # raised again where it is told
        sender.send((results, error))


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
