"""Programs that outlive the process that starts them.

Each has a pid file and holds an flock(2) on it through a descriptor that it inherits and never
looks at. The kernel drops the lock when the program ends, however it ends, so "does it run" needs
no guess about reused process ids.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

# util-linux: the kernel sends the signal when the thread that started the program ends (prctl(2),
# PR_SET_PDEATHSIG).
_DIE_WITH_PARENT = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")


def start(
    argv: Sequence[str],
    pidfile: Path,
    log: Path,
    *,
    inherited: Sequence[int],
    die_with_parent: bool,
) -> None:
    """Start argv in a session of its own, its output appended to log.

    inherited: descriptors that it gets under the same numbers.
    die_with_parent: it is killed when this thread ends, even by SIGKILL.
    """
    argv = [*_DIE_WITH_PARENT, *argv] if die_with_parent else list(argv)
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    lock = os.open(pidfile, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock, True)
        for handle in inherited:
            os.set_inheritable(handle, True)
        # Not subprocess.Popen: it warns when its object dies before the program does.
        pid = os.posix_spawn(
            argv[0],
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        os.write(lock, b"%d\n" % pid)
    finally:
        os.close(lock)


def running(pidfile: Path) -> bool:
    """Does the program of this pid file run?"""
    try:
        with pidfile.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def stop(pidfile: Path) -> None:
    """Kill the program, with what it started in its session's first group, and wait for the end."""
    if not running(pidfile):
        return
    pid = int(pidfile.read_text())
    os.killpg(pid, signal.SIGKILL)
    while running(pidfile):
        time.sleep(0.01)
    # Only our own children need this; for others it is the starter's or process 1's to do.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
