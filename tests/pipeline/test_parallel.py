"""Work that is spread over processes: in order, with its errors, and not waiting for one that is
gone."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest
from krunc_compiler.findings.finding import UsageError
from krunc_compiler.pipeline.parallel import spread
from processes import wait_until

MANY = range(1_000)
AT = 700


@pytest.fixture(autouse=True, params=[2, 3, 64])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(request.param)))


def test_results_are_in_order() -> None:
    assert list(spread(str, MANY)) == list(map(str, MANY))
    assert active_children() == []


@pytest.mark.parametrize("error", [UsageError("it is told"), PermissionError(13, "it is told")])
def test_an_error_is_raised_behind_the_results_before_it(error: Exception) -> None:
    def work(item: int) -> int:
        if item == AT:
            raise error
        return item

    seen: list[int] = []
    with pytest.raises(type(error), match="it is told"):
        seen.extend(spread(work, MANY))
    assert seen == list(range(AT))
    assert active_children() == []


@pytest.mark.parametrize("how", ["killed", "exits"])
def test_a_process_that_is_gone_is_told(how: str) -> None:
    def work(item: int) -> int:
        if item == AT:
            os._exit(0) if how == "exits" else os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(UsageError, match="ended early"):
        list(spread(work, MANY))
    assert active_children() == []


def is_at_rest(pid: int | None) -> bool:
    """Whether a process waits, for a pipe that is full, or has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "SZ"


def test_a_process_that_is_gone_within_a_result_is_told() -> None:
    with closing(spread(lambda item: b"x" * 100_000, MANY)) as results:  # no pipe holds one
        next(results)
        for child in active_children():
            wait_until(partial(is_at_rest, child.pid))
            child.kill()
        with pytest.raises(UsageError, match="ended early"):
            list(results)


def test_who_stops_listening_leaves_no_process() -> None:
    results = spread(str, MANY)
    next(results)
    results.close()
    assert active_children() == []
