"""Several plans: forked from one warmed process, one VM's process each, supervised; all at once, or
so many at a time."""

from __future__ import annotations

import gc
from _signal import (  # type: ignore[import-not-found]
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    sigpending,
)
from time import monotonic

from krunc_launcher import system
from krunc_launcher._rules import PLAN
from krunc_launcher.accept import Accepted, accept
from krunc_launcher.errors import NOT_STARTED, LaunchError, PlanRefused, plain, why
from krunc_launcher.host.libkrun import locate
from krunc_launcher.launch import NO_PROCESS, ahead, become, start
from krunc_launcher.supervise.child import die_with_parent, hold
from krunc_launcher.supervise.end import End
from krunc_launcher.supervise.programs import Programs
from krunc_launcher.supervise.watch import wait
from krunc_launcher.text.reading import is_stream
from krunc_launcher.text.reading import start as read_start
from krunc_launcher.vm.notes import note
from krunc_launcher.vm.strip import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.launch import Ready
    from krunc_launcher.options import Options
    from krunc_launcher.supervise.child import Vm

    Start = Ready | Accepted | PlanRefused | LaunchError

_ENDING = PLAN["ending"]
# Behind these no VM is started any more.
_STOPPING = {SIGHUP, SIGINT, SIGQUIT, SIGTERM}
_NOT_ANY_MORE = "the launcher was asked to stop before its turn came"
# All plans that one box makes have 64 MiB at most (docs/boxes.md).
_MOST_BYTES = 1 << 27


class Source:
    """Where a plan is: the file PATH, of which DATA was read already, if it is not None."""

    __slots__ = ("data", "path")

    def __init__(self, path: str, data: bytes | None = None) -> None:
        self.path = path
        self.data = data


def plans_of(paths: list[str]) -> dict[str, Source]:
    """Return the plans that PATHS name, of a directory all in it, by the name of each VM: the
    plan's file name without its ending, or what a stream of several plans says. Raises
    LaunchError."""
    named: dict[str, Source] = {}
    for path in paths:
        for name, source in _plans(path):
            if name in named:
                raise LaunchError(f"two plans are called {plain(name)}; their logs would be one")
            named[name] = source
    return named


def _plans(path: str) -> Iterator[tuple[str, Source]]:
    if is_stream(path):
        yield from _streamed(path)
        return
    for plan in _below(path) if system.isdir(path) else [path]:
        name = system.basename(plan).removesuffix(_ENDING).removesuffix(".json")
        yield name, Source(plan)


def _streamed(path: str) -> Iterator[tuple[str, Source]]:
    """Yield the plans of a stream: one, or several with their names, each name and each plan with
    a NUL behind it, which stands in no plan."""
    try:
        data = read_start(path, _MOST_BYTES + 1)
    except OSError as error:
        raise LaunchError(f"{plain(path)}: the plans cannot be read: {why(error)}") from None
    words = data.split(b"\0")
    if len(words) == 1:
        yield system.basename(path), Source(path, data)
        return
    if len(words) % 2 == 0 or words[-1] or len(data) > _MOST_BYTES:
        what = "a NUL has to be behind each name and each plan"
        raise LaunchError(f"{plain(path)}: this is not a stream of plans: {what}")
    for name, plan in zip(map(system.fsdecode, words[:-1:2]), words[1::2], strict=True):
        if name in ("", ".", "..") or "/" in name:
            raise LaunchError(f"{plain(path)}: a VM cannot be called {plain(name)!r}")
        yield name, Source(path, plan)


def _below(directory: str) -> list[str]:
    try:
        names = sorted(name for name in system.listdir(directory) if name.endswith(_ENDING))
    except OSError as error:
        raise LaunchError(f"{plain(directory)}: {why(error)}") from None
    if not names:
        raise LaunchError(f"{plain(directory)}: there is no plan (*{_ENDING}) in this directory")
    return [system.join(directory, name) for name in names]


def launch_all(
    plans: dict[str, Source], directory: str, options: Options
) -> Iterator[tuple[str, End | None]]:
    """Launch each of PLANS in a process of its own, its output in DIRECTORY, as many at once as
    OPTIONS say: each VM's name as it is started, and as it ends, with how. Raises LaunchError
    before any is started."""
    for made in filter(None, (directory, options.exit_record)):
        try:
            system.makedirs(made, 0o700)
        except OSError as error:
            raise LaunchError(f"{plain(made)}: {why(error)}") from None
    if options.die_with_parent:
        die_with_parent()
    fleet = Fleet(plans, directory, options)
    yield from fleet.fill()
    for vm, end in wait(fleet.running, fleet.programs, fleet.asked, SIGTERM):
        yield fleet.names.pop(vm), end
        yield from fleet.fill()
    for name in fleet.waiting[::-1]:
        yield name, End("not_started", NOT_STARTED, [_NOT_ANY_MORE])


class Fleet:
    """The VMs of several plans: `waiting` are the names of those that were not started yet, the
    last first, `running` the VMs by process, `names` theirs; `asked` are signals that came."""

    __slots__ = (
        "_directory", "_each", "_library", "_looked", "_mask", "_most", "_plans", "_starts",
        "asked", "names", "programs", "running", "waiting",
    )  # fmt: skip

    def __init__(self, plans: dict[str, Source], directory: str, options: Options) -> None:
        self._plans = plans
        self._directory = directory
        self._each = {name: options.of(name) for name in plans}
        self._library = _loaded(options)
        self._most = options.jobs or len(plans)
        self._starts = _accepted(plans, self._each)
        # The host is looked at when a VM's turn comes: those before it may be what is in its way.
        self._looked = set([*plans][: self._most])
        for name in self._looked:
            self._starts[name] = _ahead(self._starts[name])
        self.waiting = [*plans][::-1]
        self.running: dict[int, Vm] = {}
        self.names: dict[Vm, str] = {}
        self.asked: set[int] = set()
        # A collection would touch, and so copy, every page that the processes share.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._mask = hold()
        self.programs = Programs()

    def fill(self) -> Iterator[tuple[str, End | None]]:
        """Start as many as may run: each one's name, and its end where it could not be started."""
        while self.waiting and len(self.running) < self._most and not self._stops():
            name = self.waiting.pop()
            yield name, self._start(name)
            if not self.waiting:
                wipe()

    def _stops(self) -> bool:
        return not _STOPPING.isdisjoint(self.asked | sigpending())

    def _start(self, name: str) -> End | None:
        begun = monotonic()
        begin = self._starts.pop(name)
        if name in self._looked:
            self._looked.remove(name)
        else:
            begin = _ahead(begin)
        options = self._each.pop(name)
        try:
            vm = start(self._mask, begin, self.programs, options, begun)
        except OSError as error:
            return End("not_started", NOT_STARTED, [f"{NO_PROCESS}: {why(error)}"])
        except LaunchError as error:
            return End("not_started", NOT_STARTED, error.lines)
        if vm.is_mine:
            _redirect(system.join(self._directory, name), vm)
            become(self._plans[name].path, begin, options, self._library, vm)
        self.running[vm.pid] = vm
        self.names[vm] = name
        return None


def _accepted(plans: dict[str, Source], each: dict[str, Options]) -> dict[str, Start]:
    """Read and verify all PLANS before any VM is started, or tell why one cannot be launched. What
    the guest of one may write is closed to links for the others, too."""
    starts: dict[str, Start] = {}
    for name, source in plans.items():
        try:
            starts[name] = accept(source.path, each[name], source.data)
        except (PlanRefused, LaunchError) as error:
            starts[name] = error
        source.data = None
    accepted = [plan for plan in starts.values() if isinstance(plan, Accepted)]
    written = sorted({directory for plan in accepted for directory in plan.directories.written})
    shared = sorted({directory for plan in accepted for directory in plan.directories.shared})
    for plan in accepted:
        plan.directories.written, plan.directories.shared = written, shared
    return starts


def _ahead(begin: Start) -> Start:
    """Tell what can be done before there is a VM's process, or why the VM cannot be launched."""
    if not isinstance(begin, Accepted):
        return begin
    try:
        return ahead(begin)
    except OSError as error:
        return LaunchError(f"the host cannot be looked at: {why(error)}")


def _loaded(options: Options) -> Library | None:
    """Return libkrun, loaded once for all; None when there is none, of which each plan tells."""
    try:
        return locate(options.libkrun, None)
    except LaunchError:
        return None


def _redirect(stem: str, vm: Vm) -> None:
    """Read from nowhere, write output and errors to files of their own, and leave the reach of the
    terminal's Ctrl-C, which is the launcher's to pass on."""
    system.setsid()
    flags = system.O_WRONLY | system.O_CREAT | system.O_TRUNC | system.O_APPEND | system.O_NOFOLLOW
    sources = ((system.DEVNULL, system.O_RDONLY), (f"{stem}.out", flags), (f"{stem}.err", flags))
    for target, (path, how) in enumerate(sources):
        try:
            handle = system.open(path, how, 0o600)
        except OSError as error:
            note(vm.notes, f"said {plain(path)}: {why(error)}")
            system._exit(NOT_STARTED)
        system.dup2(handle, target)
        system.close(handle)
