"""A launch: an accepted plan to a running VM.

Everything that it needs is imported with it: before the VM's process is forked off, once for many
VMs, and before a confined process could not read it any more.
"""

from __future__ import annotations

import os

from krunc_launcher._krun import libc
from krunc_launcher.errors import LaunchError, PlanRefused
from krunc_launcher.host.disk_locks import hold
from krunc_launcher.host.libkrun import fits, locate
from krunc_launcher.host.preflight import preflight
from krunc_launcher.host.program import missing_workdir, opened, program
from krunc_launcher.plan.verify import keyed
from krunc_launcher.resolve.operation import made, meant
from krunc_launcher.resolve.resolve import secret
from krunc_launcher.supervise.watch import FAILED
from krunc_launcher.vm.replay import replay
from krunc_launcher.vm.strip import close_descriptors, drop_capabilities, forget_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from krunc_launcher.accept import Accepted
    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.plan.text import Findings
    from krunc_launcher.resolve.operation import Operation
    from krunc_launcher.supervise.watch import Vm

# cffi makes a function when it is first asked for: now, for what is made after the fork is memory
# of each VM's process. Not every system has all of them.
for _name in ("capget", "capset", "inotify_add_watch", "prctl", "setrlimit"):
    getattr(libc, _name, None)


class Prepared:
    """What can be launched here; `locks` are descriptors that hold the disks."""

    __slots__ = ("library", "locks")

    def __init__(self, library: Library, locks: list[int]) -> None:
        self.library = library
        self.locks = locks


class Seen:
    """An accepted plan, RESOLVED, and what is wrong with its late values and the host. LIBRARY, if
    there is one, was loaded already; libkrun may be anything and has not been looked at."""

    __slots__ = ("accepted", "done", "found", "library", "problems", "program", "writes")

    def __init__(
        self,
        accepted: Accepted,
        resolved: tuple[list[Operation], Findings],
        library: Library | None = None,
    ) -> None:
        self.accepted = accepted
        self.library = library
        self.done, self.found = resolved
        self.problems = [
            *preflight(self.done, accepted.folders),
            *missing_workdir(accepted.plan, self.done),
        ]
        self.program = program(accepted.plan, self.done)
        self.writes = made(self.done)


def seeing(accepted: Accepted, library: Library | None) -> Callable[[], Seen]:
    """What sees ACCEPTED for its VM's process, or has seen it where that needs no secret: each of
    many such processes is a copy of this one, which so may not know the secrets of others."""
    resolved = accepted.resolved(None)
    if secret(resolved[0]):
        return lambda: Seen(accepted, accepted.resolved(os.environ), library)
    seen = Seen(accepted, resolved, library)
    return lambda: seen


def prepared(seen: Seen, given: dict[str, str]) -> Prepared:
    """The plan after every check; raises PlanRefused or LaunchError with all that fails."""
    plan, done, found = seen.accepted.plan, seen.done, seen.found
    library = seen.library
    try:
        if library is None or library.era != plan["api"]:
            library = locate(given.get("--libkrun"), plan["api"])
        problems = fits(library, plan)
    except LaunchError as error:
        problems = list(error.lines)
    problems += seen.problems
    locks, taken = hold(done)
    problems += taken
    if found:
        raise PlanRefused(keyed(plan, found), also=problems, text=seen.accepted.text)
    if library is None or problems:
        raise LaunchError(*problems)
    return Prepared(library, locks)


def launch(seen: Seen, given: dict[str, str], vm: Vm) -> int:
    """Become the VM of the plan; raises PlanRefused and LaunchError."""
    ready = prepared(seen, given)
    done = seen.done
    file = opened(*seen.program)
    if file:
        vm.mark(file)
    for path in seen.writes:
        vm.note(f"writes {path}")
    close_descriptors(done, (*vm.channels(), *ready.locks))
    forget_environment(done)
    drop_capabilities(done)
    note = vm.note
    if meant(done, "uid") is not None or meant(done, "gid") is not None:
        from krunc_launcher.vm.end_with_launcher import end_with_reader

        def note(word: str) -> None:
            if word.startswith("enter "):
                # Not before: the thread has to be confined, too.
                end_with_reader(*vm.channels())
            vm.note(word)

    replay(ready.library, done, seen.accepted.folders, note)
    return FAILED
