"""A launch as one line: accept the plan, look at the host, fork, become the VM or wait for it.

What every plan takes is imported with it, and what the plan at hand takes before the VM's process
is forked off: once for many VMs, and before a confined process could not read it any more.
"""

from __future__ import annotations

from _signal import SIGINT, SIGTERM  # type: ignore[import-not-found]

from krunc_launcher import system
from krunc_launcher.accept import Accepted, accept
from krunc_launcher.errors import NOT_STARTED, LaunchError, PlanRefused, why
from krunc_launcher.host.libkrun import fits, locate
from krunc_launcher.host.preflight import preflight
from krunc_launcher.host.program import of_root, opened, program
from krunc_launcher.messages import refuse
from krunc_launcher.paths import untold
from krunc_launcher.plan.verify import keyed
from krunc_launcher.resolve.operation import has_disks, made
from krunc_launcher.resolve.resolve import reader, resolve, secret
from krunc_launcher.supervise.child import die_with_parent, fork, hold
from krunc_launcher.supervise.programs import Programs
from krunc_launcher.supervise.terminal import read_terminal, restore_terminal
from krunc_launcher.supervise.watch import end_late, wait
from krunc_launcher.vm.notes import note
from krunc_launcher.vm.replay import replay, take
from krunc_launcher.vm.strip import close_descriptors, drop_capabilities, forget_environment, wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.options import Options
    from krunc_launcher.plan.text import Findings
    from krunc_launcher.resolve.operation import Operation
    from krunc_launcher.supervise.child import Vm
    from krunc_launcher.supervise.end import End
    from krunc_launcher.supervise.passt import Passt
    from krunc_launcher.supervise.report import Report

# A plan's names of the signals that the stage sends.
_SIGNALS = {"INT": SIGINT, "TERM": SIGTERM}
NO_PROCESS = "there can be no process for the VM"
FAILING = "the host fails"


class Ready:
    """An accepted plan with its operations, and what is wrong with their late values (FOUND) and
    with the host (PROBLEMS). libkrun may be anything and has not been looked at."""

    __slots__ = ("accepted", "found", "operations", "problems", "program")

    def __init__(
        self,
        accepted: Accepted,
        operations: list[Operation],
        found: Findings,
        problems: list[str],
        program: tuple[str, str],
    ) -> None:
        self.accepted = accepted
        self.operations = operations
        self.found = found
        self.problems = problems
        self.program = program


def launch(path: str, options: Options, begun: float) -> End:
    """Launch the plan in the file PATH and wait for the end of its VM; the launch has BEGUN then
    (monotonic). Raises PlanRefused and LaunchError before there is a process for the VM."""
    if options.die_with_parent:
        die_with_parent()
    streams = read_terminal()
    plan = accept(path, options)
    if options.exit_record is not None:
        from krunc_launcher.host.files import check_record

        check_record(options.exit_record, options, plan.directories)
    # As much as can be is done before the fork: whatever the VM's process touches first after it
    # is copied. libkrun is loaded behind it, for it may be anything, and crash.
    ready = look(plan, system.variable)
    mask = hold()
    programs = Programs()
    try:
        vm = start(mask, ready, programs, options, begun, {})
    except OSError as error:
        raise LaunchError(f"{NO_PROCESS}: {why(error)}") from None
    if vm.is_mine:
        become(path, ready, options, None, vm)
    del ready
    wipe()
    ((_, end),) = wait({vm.pid: vm}, programs, set())
    restore_terminal(*streams)
    return end


def start(
    mask: Any,
    begin: Ready | Accepted | PlanRefused | LaunchError,
    programs: Programs,
    options: Options,
    begun: float,
    running: dict[int, Vm],
) -> Vm:
    """Fork the process that becomes the VM of BEGIN: two processes come back from here. Raises
    OSError, and LaunchError where the VM needs the stage and there is no place for it, or where
    what runs beside it cannot. See `fork` for MASK and BEGUN; those of the RUNNING VMs whose time
    is over are ended also while this waits."""
    handle, stop, accepted, place, passt = -1, (0, 0, 0), None, None, None
    if not isinstance(begin, Exception):
        accepted = begin if isinstance(begin, Accepted) else begin.accepted
        stop, staged = _stop(accepted.plan["operations"])
        if isinstance(begin, Ready):
            done = begin.operations
            root, path = begin.program
        else:
            done, _ = resolve(accepted.plan, accepted.directories, None)
            root, path = program(accepted.plan, done, accepted.directories)
        if staged and not (isinstance(begin, Ready) and (begin.found or begin.problems)):
            from krunc_launcher.supervise.launch_directory import prepare

            looked = isinstance(begin, Ready)
            is_known = looked and any(one.name == "make_runtime_directory" for one in done)
            place = prepare(accepted.plan["operations"], accepted.directories, is_known)
        try:
            passt = _beside(mask, begin, done, running)
            handle = opened(root, path, accepted.directories)
        except (LaunchError, OSError):
            _end(accepted, place, passt)
            raise
    try:
        vm = fork(mask, programs.watch(handle), options.console_max, stop, begun)
    except OSError:
        _end(accepted, place, passt)
        raise
    else:
        if passt is not None:
            vm.join(passt)
        if accepted is not None and place is not None and not vm.is_mine:
            vm.report = _report(accepted, place)
        if accepted is not None:
            vm.heed(len(done), len(made(done)) + 2)  # with those of --log-dir
        return vm
    finally:
        if handle >= 0:
            system.close(handle)


def _report(accepted: Accepted, place: tuple[int, int]) -> Report:
    """Return what listens to the stage at PLACE, as `prepare` has it."""
    # Here, for the VM's process has no use for it.
    from krunc_launcher.supervise.report import Report

    return Report(accepted.plan["operations"], accepted.directories, *place)


def _end(accepted: Accepted | None, place: tuple[int, int] | None, passt: Passt | None) -> None:
    """End what is beside a VM that there will not be."""
    if accepted is not None and place is not None:
        from krunc_launcher.supervise.launch_directory import undo

        undo(accepted.directories, *place)
    if passt is not None:
        passt.end()


def _stop(rows: list[dict[str, Any]]) -> tuple[tuple[int, int, int], bool]:
    """Tell how the VM of the operations ROWS is ended from outside, as Vm has it, and whether it
    has the stage."""
    grace_s = signal = timeout_s = 0
    staged = False
    for row in rows:
        name = row.get("step")
        if name is None:
            continue
        if name == "stop_on_sigterm":
            grace_s = row["args"]["grace_s"]
        elif name == "pass_sigterm":
            grace_s, signal = row["args"]["grace_s"], _SIGNALS[row["args"]["signal"]]
        elif name == "end_after":
            timeout_s = row["args"]["seconds"]
        staged = staged or name == "lay_stage"
    return (grace_s, signal, timeout_s), staged


def _beside(
    mask: Any, begin: Ready | Accepted, done: list[Operation], running: dict[int, Vm]
) -> Passt | None:
    """Start what runs beside the VM of BEGIN, of which DONE are the operations; nothing where the
    VM's process will tell why it does not start."""
    step = next((operation for operation in done if operation.name == "start_passt"), None)
    if step is None:
        return None
    if isinstance(begin, Ready) and (begin.problems or begin.found):
        return None
    if isinstance(begin, Accepted) and preflight([step], begin.directories):
        return None
    from krunc_launcher.supervise.passt import start as start_passt

    return start_passt(done, mask, lambda: end_late(running))


def ahead(plan: Accepted) -> Ready | Accepted:
    """Do as much of a launch as many VMs' processes may be copies of: all but read secrets, which
    each reads for itself. No VM's process reads the guest's root: that would look as if a guest
    started its program."""
    operations, _ = resolve(plan.plan, plan.directories, None)
    if not secret(operations):
        return look(plan, None)
    starts = program(plan.plan, operations, plan.directories)
    plan.of_root = of_root(plan.plan, operations, plan.directories, starts)
    return plan


def look(accepted: Accepted, variable: Callable[[str], str | None] | None) -> Ready:
    """Fill in what the plan leaves open, secrets by the launcher's environment, which VARIABLE
    tells, and check all that it needs of the host."""
    given = None if variable is None else reader(variable, accepted.directories)
    operations, found = resolve(accepted.plan, accepted.directories, given)
    take(operations)
    starts = program(accepted.plan, operations, accepted.directories)
    looked = accepted.of_root
    if looked is None:
        looked = of_root(accepted.plan, operations, accepted.directories, starts)
    problems = [
        *preflight(operations, accepted.directories),
        *looked,
        *untold(accepted.plan["operations"], accepted.directories),
    ]
    if made(operations):
        from krunc_launcher.host.emptied import used_otherwise

        problems += used_otherwise(operations, accepted)
    return Ready(accepted, operations, found, problems, starts)


def become(
    path: str,
    begin: Ready | Accepted | PlanRefused | LaunchError,
    options: Options,
    library: Library | None,
    vm: Vm,
) -> NoReturn:
    """Become the VM of BEGIN, in its own process, or say why not, here and to the process above.
    LIBRARY is the libkrun that is loaded already, if one is."""
    try:
        if isinstance(begin, Exception):
            raise begin
        ready = look(begin, system.variable) if isinstance(begin, Accepted) else begin
        _enter(ready, *prepare(ready, options.libkrun, library), vm)
    except (PlanRefused, LaunchError) as error:
        note(vm.notes, f"said {'; '.join(refuse(path, error))}")
    except OSError as error:
        said = refuse(path, LaunchError(f"{FAILING}: {why(error)}"))
        note(vm.notes, f"said {'; '.join(said)}")
    # Python would end the thread that waits for SIGTERM first: for that glibc loads libgcc_s, which
    # a confined process cannot, and aborts.
    system._exit(NOT_STARTED)


def prepare(
    ready: Ready, chosen: str | None, library: Library | None = None
) -> tuple[Library, list[int]]:
    """Find the libkrun for a plan and lock its disks: that and the descriptors that hold these.
    CHOSEN is its file, LIBRARY a loaded one. Raises PlanRefused or LaunchError with all that fails,
    of the plan and the host too."""
    plan = ready.accepted.plan
    try:
        if library is None or library.era != plan["api"]:
            library = locate(chosen, plan["api"], ready.accepted.path)
        problems = fits(library, plan, ready.accepted.path)
    except LaunchError as error:
        problems = list(error.lines)
    problems += ready.problems
    locks: list[int] = []
    if has_disks(ready.operations):
        from krunc_launcher.host.disk_locks import hold as lock

        locks, taken = lock(ready.operations, ready.accepted.directories)
        problems += taken
    if ready.found:
        raise PlanRefused(keyed(plan, ready.found), also=problems, text=ready.accepted.text)
    if library is None or problems:
        raise LaunchError(*problems)
    return library, locks


def _enter(ready: Ready, library: Library, locks: list[int], vm: Vm) -> None:
    """Lose what a VM does not need, and replay the plan; comes back when libkrun does not enter the
    VM. Raises LaunchError."""
    operations = ready.operations
    directories = ready.accepted.directories
    close_descriptors(operations, (vm.notes, *locks, *vm.given.values()))
    forget_environment(operations)
    drop_capabilities(operations)
    replay(library, operations, directories, vm.notes, vm.given)
