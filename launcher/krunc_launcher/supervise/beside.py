"""Processes beside a VM's: they have nothing of the launcher, and end with it.

A program among them has a process above it, its keeper, that ends all that the program has started,
also what has left its parents to run in the background: the kernel gives that to the keeper.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_DFL,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGKILL,
    SIGTERM,
    pthread_sigmask,
    signal,
    sigwaitinfo,
)

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import NOT_STARTED, why
from krunc_launcher.supervise.child import end_with
from krunc_launcher.vm.strip import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_CHILD_SUBREAPER = 1, 4, 36  # linux/prctl.h
_DUPFD = 0  # asm-generic/fcntl.h
FIRST = 3  # descriptor behind the standard streams
# What a keeper ends with whose program was killed: killed itself, it would leave that one running.
KILLED = 128 + SIGKILL


def child(begin: Callable[[], object], ends: tuple[int, ...], errors: int, mask: Any) -> int:
    """Have a process BEGIN that has sockets, the ENDS, from the first descriptor on, ERRORS for
    standard error, and nothing else. It keeps the signals of MASK blocked, and SIGKILL ends it.
    Raises OSError."""
    parent = system.getpid()
    pid = system.fork()
    if pid:
        return pid
    says = errors
    try:
        _bare(ends, errors, parent)
        says = 2
        pthread_sigmask(SIG_SETMASK, mask)
        begin()
    except OSError as error:
        system.write(says, system.fsencode(f"{why(error)}\n"))
    finally:
        system._exit(NOT_STARTED)


def _bare(ends: tuple[int, ...], errors: int, parent: int) -> None:
    """Lose what this process has of its PARENT, with which it ends."""
    end_with(parent)
    system.setsid()  # a Ctrl-C of the terminal is not for it
    system.chdir("/")
    nothing = system.open(system.DEVNULL, system.O_RDWR)
    given = (nothing, nothing, errors, *ends)
    # Two steps: the number that one gets may be that of another. No number is fixed beyond those,
    # for the limit of open files may be low.
    aside = [int(libc.fcntl(source, _DUPFD, len(given))) for source in given]
    if min(aside) < 0:
        raise OSError(ffi.errno, system.strerror(ffi.errno))
    for target, source in enumerate(aside):
        system.dup2(source, target)
    system.closerange(len(given), 1 << 20)


def kept(program: str, words: list[str], ends: tuple[int, ...], errors: int, mask: Any) -> int:
    """Start PROGRAM with WORDS, as `child` has it, below a keeper, and return the keeper's process.
    It ends as the program has, with KILLED by SIGKILL, when all that this one has started has
    ended, too; and with all of them by SIGTERM, or when the launcher ends. Raises OSError."""
    own = tuple(range(FIRST, FIRST + len(ends)))

    def keep() -> None:
        wipe()
        libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        pthread_sigmask(SIG_BLOCK, (SIGTERM, SIGCHLD))
        libc.prctl(_SET_PDEATHSIG, SIGTERM, 0, 0, 0)
        pid = child(lambda: system.execve(program, words, {}), own, 2, mask)
        for end in own:
            system.close(end)  # that the program closes it is to be seen
        _end_as(_wait(pid))

    return child(keep, ends, errors, mask)


def _wait(program: int) -> int:
    """Wait until no process is below this one, and return what waitpid tells of PROGRAM."""
    code = 0
    while True:
        try:
            pid, ended = system.waitpid(-1, system.WNOHANG)
        except ChildProcessError:
            return code
        if pid == program:
            code = ended
        elif not pid and sigwaitinfo((SIGTERM, SIGCHLD)).si_signo == SIGTERM:
            while _end_below():
                pass
            return int(SIGKILL)


def _end_below() -> bool:
    """End the processes that are this one's now, and tell whether there were any. What they have
    started is this one's then. A program with the setuid bit may be another user's."""
    living = [int(name) for name in system.listdir("/proc") if name.isdigit()]
    ended = 0
    for pid in living:
        try:
            if not system.waitpid(pid, system.WNOHANG)[0]:
                system.kill(pid, SIGKILL)
                system.waitpid(pid, 0)
            ended += 1
        except (ChildProcessError, PermissionError):
            pass
    return ended > 0


def _end_as(code: int) -> None:
    """End this process as another has, of which waitpid tells CODE."""
    if not system.WIFSIGNALED(code):
        system._exit(system.WEXITSTATUS(code))
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)  # that one may have left its memory, and this has secrets
    number = system.WTERMSIG(code)
    if number == SIGKILL:
        system._exit(KILLED)
    signal(number, SIG_DFL)
    pthread_sigmask(SIG_UNBLOCK, (number,))
    system.kill(system.getpid(), number)
