"""The end of a VM's process with its launcher, also when it has become another user: the kernel
forgets PR_SET_PDEATHSIG when the user of a process changes, which libkrun does late."""

from __future__ import annotations

from _signal import SIGKILL  # type: ignore[import-not-found]
from _thread import start_new_thread
from select import POLLERR, poll

from krunc_launcher import system


def end_with_reader(pipe: int) -> None:
    """End this process from now on when nobody has the reading end of PIPE any more."""
    nobody_reads = poll()
    nobody_reads.register(pipe, POLLERR)

    def wait() -> None:
        nobody_reads.poll()
        system.kill(system.getpid(), SIGKILL)

    start_new_thread(wait, ())
