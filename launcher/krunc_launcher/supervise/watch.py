"""The process above the VMs': it passes signals on, and tells how each VM ended.

libkrun ends its process itself: with status 0 when the guest's kernel panics, by SIGABRT when its
Rust code panics. Only another process can make a message and an exit status of that.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGINT,
    SIGIO,
    SIGKILL,
    pthread_sigmask,
    signal,
    sigtimedwait,
    sigwaitinfo,
)

from krunc_launcher import system
from krunc_launcher.messages import say
from krunc_launcher.supervise.child import WAITED_FOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.supervise.child import Vm
    from krunc_launcher.supervise.end import End
    from krunc_launcher.supervise.programs import Programs

_TEND_S = 1.0


def wait(
    running: dict[int, Vm], programs: Programs, asked: set[int], interrupt: int = 0
) -> Iterator[tuple[Vm, End]]:
    """Wait for the VMs that are RUNNING, by process, and pass on to all of them the signals that
    come meanwhile, which ASKED learns of: each VM as it ends, and how. Others may join them then.
    PROGRAMS are theirs. INTERRUPT is what a Ctrl-C means; 0 where it reaches the VM by itself."""
    while running:
        pid, code = system.waitpid(-1, system.WNOHANG)
        if pid in running:
            programs.look()
            vm = running.pop(pid)
            programs.forget(vm.program)
            yield vm, vm.ended(code, frozenset(asked))
        elif pid:
            for vm in running.values():
                vm.lost(pid, code)
        else:
            end_late(running)
            say(f"warning: {told}" for vm in running.values() if (told := vm.tell()))
            _pass_on(running, programs, asked, interrupt)


def end_late(running: dict[int, Vm]) -> None:
    """End those of the RUNNING VMs whose time is over."""
    for vm in running.values():
        vm.end_when_late()


def _pass_on(running: dict[int, Vm], programs: Programs, asked: set[int], interrupt: int) -> None:
    """Wait until there is something to do, and pass on a signal that comes; ASKED learns of it."""
    times = [time for vm in running.values() if (time := vm.next_s()) is not None]
    times += [_TEND_S for vm in running.values() if vm.tend()]
    told = sigtimedwait(WAITED_FOR, max(0.0, min(times))) if times else sigwaitinfo(WAITED_FOR)
    if told is not None and told.si_signo == SIGIO:
        programs.look()
        for vm in running.values():
            vm.hear()
        return
    if told is None or told.si_signo == SIGCHLD:
        return
    number = told.si_signo
    if number == SIGINT and interrupt:
        number = interrupt
    elif number == SIGINT and not told.si_pid:
        return  # a Ctrl-C of the terminal reaches the VM's process by itself: nobody sent it
    asked.add(number)
    for vm in running.values():
        vm.send(number)


def end_by(number: int) -> None:
    """End this process by the signal that ended its VM, so that who waits for it sees that."""
    if number != SIGKILL:
        signal(number, SIG_DFL)
    system.kill(system.getpid(), number)
    # That one alone: another that waits, as SIGIO of a stage that hung up, would end it instead.
    pthread_sigmask(SIG_UNBLOCK, (number,))
