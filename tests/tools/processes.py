"""Processes that tests start, and what tests wait for: that something happens, never that time
passes."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# Seconds. It only ends what hangs: what passes does not wait for it, however busy the machine is.
PATIENCE = 120.0


def wait_until(true: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until TRUE, which PROCESS is to bring about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if process is not None and process.poll() is not None:
            assert true(), f"the process ended before, with {process.returncode}"
            return
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@contextmanager
def started(command: Sequence[str | Path], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone behind the block, with its pipes, whatever happens in it."""
    process = subprocess.Popen(command, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was not written yet has no reader any more
                    pipe.close()


def entered(record: Path, launcher: subprocess.Popen[bytes], vms: int = 1) -> None:
    """Wait until so many VMs of LAUNCHER, which write down their calls in RECORD, are entered."""
    wait_until(
        lambda: record.exists() and record.read_text().count("krun_start_enter") >= vms, launcher
    )


def children(pid: int) -> list[int]:
    """The children of a process."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def below(pid: int) -> list[int]:
    """All processes that come from a process, and are not its children alone."""
    found: list[int] = []
    for one in children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it may just have ended
            found += one, *below(one)
    return found


def variables(pid: int) -> bytes:
    """What is left of a process's environment."""
    return Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0")


def waits(pid: int, number: int) -> bool:
    """Whether a signal was sent to a process and not taken yet; of one that has ended, no."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    sets = (
        line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    )
    return any(int(mask, 16) >> (number - 1) & 1 for mask in sets)


def gone(pid: int) -> bool:
    """Whether a process, which may be somebody else's child, ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def memory(pid: int, rights: str) -> Iterator[bytes]:
    """Yield what the mappings of the process PID hold that have RIGHTS, each in one piece.

    Within a mapping a guard page cannot be read (madvise(2), MADV_GUARD_INSTALL); glibc has them in
    stacks since 2.42.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    handle = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, has, *_ = line.split()
            if not set(rights) <= set(has) or "[v" in line:
                continue
            at, end = (int(place, 16) for place in span.split("-"))
            found = b""
            while at < end:
                try:
                    part = os.pread(handle, end - at, at)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    yield found
                    found, part = b"", b""
                    at += page
                found += part
                at += len(part)
            yield found
    finally:
        os.close(handle)
