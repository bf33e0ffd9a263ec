"""What a run leaves when it is stopped: nothing that is half made.

A signal ends krunc as it ends any program, at once and without a word. Only where something lies
about that has to be removed first, it unwinds what runs, and then ends the process by itself.
"""

from __future__ import annotations

import os
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_IGN,
    SIG_SETMASK,
    SIGHUP,
    SIGINT,
    SIGTERM,
    default_int_handler,
    getsignal,
    pthread_sigmask,
    signal,
)
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_STOPS = (SIGINT, SIGTERM, SIGHUP)


class _Stopped(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Cleaned:
    """A context after which SWEEP has run, also when a signal ends what is in it."""

    def __init__(self, sweep: Callable[[], None]) -> None:
        self._sweep = sweep
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        try:
            for number in _STOPS:
                # Who is to ignore it (nohup, a job in the background) goes on doing so.
                if getsignal(number) in (SIG_DFL, default_int_handler):
                    self._before[number] = signal(number, self._stop)
        except ValueError:
            pass  # not the main thread, which alone gets signals

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._from_now_on(SIG_IGN)
        try:
            self._sweep()
        finally:
            for number, handler in self._before.items():
                signal(number, handler)
        if isinstance(error, _Stopped) and error.number in self._before:
            signal(error.number, SIG_DFL)
            os.kill(os.getpid(), error.number)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._owner:
            os._exit(128 + number)  # a process that was forked off meanwhile
        self._from_now_on(SIG_IGN)  # one is enough
        raise _Stopped(number)

    def _from_now_on(self, how: int) -> None:
        for number in self._before:
            signal(number, how)


@contextmanager
def unstopped() -> Iterator[None]:
    """A context that a signal ends when it is over, and not before: for what takes little time, and
    must not be done by half."""
    before = pthread_sigmask(SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)
