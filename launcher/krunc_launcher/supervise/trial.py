"""What may end this process, or leave a thread in it: done in a copy of it first."""

from __future__ import annotations

from _signal import SIG_SETMASK, pthread_sigmask  # type: ignore[import-not-found]

from krunc_launcher import system
from krunc_launcher.supervise.child import end_with, hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")


def tried(act: Callable[[], Result]) -> Result | None:
    """Return what ACT does, of which a copy of this process was still there; None where it was not.
    A thread that ACT starts leaves the signals to this one, which waits for them."""
    if not _survives(act):
        return None
    mask = hold()
    try:
        return act()
    finally:
        pthread_sigmask(SIG_SETMASK, mask)


def _survives(act: Callable[[], object]) -> bool:
    """Tell whether a copy of this process is there after ACT. Without a process for that, nobody
    knows: no."""
    try:
        reading, writing = system.pipe()
    except OSError:
        return False
    parent = system.getpid()
    try:
        pid = system.fork()
    except OSError:
        system.close(writing)
        system.close(reading)
        return False
    if not pid:
        try:
            end_with(parent)  # ACT may take for ever, and a signal end this process meanwhile
            act()
            system.write(writing, b"1")
        finally:
            system._exit(0)  # whatever it raises: two processes must not come back from here
    system.close(writing)
    lives = system.read(reading, 1) == b"1"
    system.close(reading)
    try:
        system.waitpid(pid, 0)
    except ChildProcessError:
        pass  # where SIGCHLD is ignored, nobody is waited for
    return lives
