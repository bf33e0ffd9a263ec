"""SIGTERM as a request to the guest: libkrun itself would end the VM at once.

Seen in boots of libkrun 1.16.0 and 2.0-dev: while standard input is no terminal, a SIGINT to the
VM's process is a Ctrl-C on the guest's console, and so a SIGINT for its program; the exit status is
then the program's own. A build with a shutdown eventfd (macOS, EFI) is asked through it.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_UNBLOCK,
    SIGINT,
    SIGTERM,
    pthread_sigmask,
    sigtimedwait,
    sigwait,
)
from _thread import start_new_thread

from krunc_launcher import system


def ask_on_sigterm(grace_s: int, eventfd: int) -> None:
    """Make SIGTERM ask the guest to stop; a second one, or GRACE_S seconds, end the VM.

    Call it before libkrun starts threads of its own: they must not take the signal. EVENTFD is
    libkrun's shutdown eventfd, negative when this build has none.
    """
    if eventfd < 0 and system.isatty(0):
        return  # a terminal in raw mode: Ctrl-C is the person's, and SIGTERM ends the VM
    pthread_sigmask(SIG_BLOCK, (SIGTERM,))
    start_new_thread(_wait, (grace_s, eventfd))


def _wait(grace_s: int, eventfd: int) -> None:
    sigwait((SIGTERM,))
    if eventfd < 0:
        system.kill(system.getpid(), SIGINT)
    else:
        system.write(eventfd, (1).to_bytes(8, "little"))
    sigtimedwait((SIGTERM,), grace_s)
    # The process ends as it does by a SIGTERM that nobody handles.
    system.kill(system.getpid(), SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, (SIGTERM,))
