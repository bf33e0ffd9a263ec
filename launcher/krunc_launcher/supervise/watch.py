"""The process above the VMs': it passes signals on, and tells how each VM ended.

libkrun ends its process itself: with status 0 when the guest's kernel panics, by SIGABRT when its
Rust code panics. Only another process can make a message and an exit status of that.
"""

from __future__ import annotations

import os
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_SETMASK,
    SIGCHLD,
    SIGINT,
    SIGKILL,
    pthread_sigmask,
    signal,
    sigtimedwait,
    sigwaitinfo,
)

from krunc_launcher.supervise.child import WAITED_FOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.supervise.child import Vm
    from krunc_launcher.supervise.end import End

_TEND_S = 1.0


def wait(vms: list[Vm]) -> Iterator[tuple[Vm, End]]:
    """Wait for VMS, and pass on to all of them the signals that come meanwhile: each VM as it ends,
    and how."""
    running = {vm.pid: vm for vm in vms}
    asked: set[int] = set()
    while running:
        pid, code = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            vm = running.pop(pid)
            yield vm, vm.ended(code, frozenset(asked))
        elif not pid:
            _pass_on(running, asked)


def _pass_on(running: dict[int, Vm], asked: set[int]) -> None:
    """Wait until a signal comes, and pass it on; ASKED learns of it."""
    tended = [vm.tend() for vm in running.values()]
    told = sigtimedwait(WAITED_FOR, _TEND_S) if any(tended) else sigwaitinfo(WAITED_FOR)
    # A Ctrl-C of the terminal reaches the VM's process by itself: nobody sent it.
    if told is None or told.si_signo == SIGCHLD or (told.si_signo == SIGINT and not told.si_pid):
        return
    asked.add(told.si_signo)
    for pid in running:
        os.kill(pid, told.si_signo)


def end_by(number: int) -> None:
    """End this process by the signal that ended its VM, so that who waits for it sees that."""
    if number != SIGKILL:
        signal(number, SIG_DFL)
    pthread_sigmask(SIG_SETMASK, ())
    os.kill(os.getpid(), number)
