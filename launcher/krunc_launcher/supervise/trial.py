"""Whether this process would live on behind what it is about to do."""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def survives(act: Callable[[], object]) -> bool:
    """Tell whether a copy of this process is there after ACT. Without a process for that, nobody
    knows: no."""
    try:
        reading, writing = system.pipe()
    except OSError:
        return False
    try:
        pid = system.fork()
    except OSError:
        system.close(writing)
        system.close(reading)
        return False
    if not pid:
        try:
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
