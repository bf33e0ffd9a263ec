"""Several plans at once: forked from one warmed process, one VM's process each, supervised."""

from __future__ import annotations

import gc
from time import monotonic

from krunc_launcher import system
from krunc_launcher._rules import PLAN
from krunc_launcher.accept import accept
from krunc_launcher.errors import NOT_STARTED, LaunchError, PlanRefused, plain, why
from krunc_launcher.host.libkrun import locate
from krunc_launcher.launch import NO_PROCESS, ahead, become, start
from krunc_launcher.supervise.child import die_with_parent, hold
from krunc_launcher.supervise.end import End
from krunc_launcher.supervise.programs import Programs
from krunc_launcher.supervise.watch import wait
from krunc_launcher.vm.strip import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.accept import Accepted
    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.launch import Ready
    from krunc_launcher.options import Options
    from krunc_launcher.supervise.child import Vm

_ENDING = PLAN["ending"]


def plans_of(paths: list[str]) -> dict[str, str]:
    """Return the plans that PATHS name, of a folder all in it, by the name of each VM: the plan's
    file name without its ending. Raises LaunchError."""
    named: dict[str, str] = {}
    for path in paths:
        for plan in _below(path) if system.isdir(path) else [path]:
            name = system.basename(plan).removesuffix(_ENDING).removesuffix(".json")
            if name in named:
                raise LaunchError(f"two plans are called {plain(name)}; their logs would be one")
            named[name] = plan
    return named


def _below(folder: str) -> list[str]:
    try:
        names = sorted(name for name in system.listdir(folder) if name.endswith(_ENDING))
    except OSError as error:
        raise LaunchError(f"{plain(folder)}: {why(error)}") from None
    if not names:
        raise LaunchError(f"{plain(folder)}: there is no plan (*{_ENDING}) in this folder")
    return [system.join(folder, name) for name in names]


def launch_all(plans: dict[str, str], folder: str, options: Options) -> Iterator[tuple[str, End]]:
    """Launch each of PLANS in a process of its own, its output in FOLDER; each VM's name as it
    ends, and how. Raises LaunchError before any is started."""
    for made in filter(None, (folder, options.exit_record)):
        try:
            system.makedirs(made, 0o700)
        except OSError as error:
            raise LaunchError(f"{plain(made)}: {why(error)}") from None
    if options.die_with_parent:
        die_with_parent()
    library = _loaded(options)
    each = {name: options.of(name) for name in plans}
    starts = _starts(plans, each)
    # A collection would touch, and so copy, every page that the processes share.
    gc.collect()
    gc.freeze()
    gc.disable()
    mask = hold()
    programs = Programs()
    names = {}
    lost = []
    for name, path in plans.items():
        begun = monotonic()
        try:
            vm = start(mask, starts[name], programs, each[name], begun)
        except OSError as error:
            lost.append((name, End("not_started", NOT_STARTED, [f"{NO_PROCESS}: {why(error)}"])))
            continue
        except LaunchError as error:
            lost.append((name, End("not_started", NOT_STARTED, error.lines)))
            continue
        if vm.is_mine:
            _redirect(system.join(folder, name), vm)
            become(path, starts[name], each[name], library, vm)
        names[vm] = name
    starts.clear()
    wipe()
    yield from lost
    for vm, end in wait(list(names), programs):
        yield names[vm], end


def _starts(
    plans: dict[str, str], each: dict[str, Options]
) -> dict[str, Ready | Accepted | PlanRefused | LaunchError]:
    """Tell what can be done for all PLANS before any VM is started, or why one cannot be launched.
    What the guest of one may write is closed to links for the others, too."""
    starts: dict[str, Ready | Accepted | PlanRefused | LaunchError] = {}
    accepted = {}
    for name, path in plans.items():
        try:
            accepted[name] = accept(path, each[name])
        except (PlanRefused, LaunchError) as error:
            starts[name] = error
    written = sorted({folder for plan in accepted.values() for folder in plan.folders.written})
    shared = sorted({folder for plan in accepted.values() for folder in plan.folders.shared})
    for name, plan in accepted.items():
        plan.folders.written, plan.folders.shared = written, shared
        try:
            starts[name] = ahead(plan)
        except OSError as error:
            starts[name] = LaunchError(f"the host cannot be looked at: {why(error)}")
    return starts


def _loaded(options: Options) -> Library | None:
    """libkrun, loaded once for all; None when there is none, of which each plan tells."""
    try:
        return locate(options.libkrun, None)
    except LaunchError:
        return None


def _redirect(stem: str, vm: Vm) -> None:
    """Standard input from nowhere, output and errors to files of their own."""
    flags = system.O_WRONLY | system.O_CREAT | system.O_TRUNC | system.O_APPEND | system.O_NOFOLLOW
    sources = ((system.DEVNULL, system.O_RDONLY), (f"{stem}.out", flags), (f"{stem}.err", flags))
    for target, (path, how) in enumerate(sources):
        try:
            handle = system.open(path, how, 0o600)
        except OSError as error:
            vm.notes.note(f"said {plain(path)}: {why(error)}")
            system._exit(NOT_STARTED)
        system.dup2(handle, target)
        system.close(handle)
